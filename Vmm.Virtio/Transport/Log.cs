using System;
using Microsoft.Extensions.Logging;

namespace Vmm.Virtio.Transport;

/// <summary>What the transport logs; event ids 3000 to 3099.</summary>
internal static partial class Log
{
    [LoggerMessage(3000, LogLevel.Warning, "{Function}: the device needs a reset: {Reason} ({Suppressed} earlier messages not shown)")]
    public static partial void NeedsReset(ILogger logger, string function, string reason, long suppressed);

    [LoggerMessage(3001, LogLevel.Error, "{Function}: {Step} of the device failed ({Suppressed} earlier failures not shown)")]
    public static partial void DeviceFailed(ILogger logger, Exception exception, string function, string step, long suppressed);

    [LoggerMessage(
        3002, LogLevel.Warning,
        "{Function}: the driver's mistake {Mistake} was ignored, it wrote 0x{Value:x} ({Suppressed} earlier messages not shown)")]
    public static partial void MistakeIgnored(ILogger logger, string function, GuestMistake mistake, ulong value, long suppressed);

    [LoggerMessage(3003, LogLevel.Warning, "{Function}: no doorbell for queue {Queue}: its notifications exit to the device ({Reason})")]
    public static partial void DoorbellRefused(ILogger logger, string function, int queue, string reason);
}
