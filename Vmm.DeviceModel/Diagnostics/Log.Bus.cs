using System;
using Microsoft.Extensions.Logging;

namespace Vmm.DeviceModel.Diagnostics;

/// <summary>The log messages of the bus: event ids 1000 to 1029.</summary>
internal static partial class Log
{
    [LoggerMessage(1000, LogLevel.Information, "{Space}: unclaimed read of {Width} bytes at 0x{Address:x} ({Suppressed} earlier ones not shown)")]
    public static partial void UnclaimedRead(ILogger logger, string space, int width, ulong address, long suppressed);

    [LoggerMessage(
        1001, LogLevel.Information,
        "{Space}: unclaimed write of {Width} bytes, value 0x{Value:x}, at 0x{Address:x} ({Suppressed} earlier ones not shown)")]
    public static partial void UnclaimedWrite(ILogger logger, string space, int width, ulong value, ulong address, long suppressed);

    [LoggerMessage(1002, LogLevel.Error, "{Space}: the handler of {Claim} failed at offset 0x{Offset:x} and answers all-ones from now on")]
    public static partial void HandlerFaulted(ILogger logger, Exception exception, string space, string claim, ulong offset);

    [LoggerMessage(
        1003, LogLevel.Warning,
        "{Space}: no doorbell for {Claim} at 0x{Address:x}: its writes are dispatched instead ({Reason}); {Suppressed} earlier ones not shown")]
    public static partial void DoorbellRefused(ILogger logger, string space, string claim, ulong address, string reason, long suppressed);

    [LoggerMessage(1004, LogLevel.Error, "{Space}: undoing a change failed for the {Kind} at 0x{Address:x}: its accesses are dispatched instead")]
    public static partial void RollbackFailed(ILogger logger, Exception exception, string space, string kind, ulong address);

    [LoggerMessage(1005, LogLevel.Error, "an effect that was to run after a guest access failed")]
    public static partial void EffectFailed(ILogger logger, Exception exception);

    [LoggerMessage(1006, LogLevel.Error, "{Space}: the sink for unclaimed accesses failed")]
    public static partial void UnclaimedSinkFailed(ILogger logger, Exception exception, string space);

    [LoggerMessage(
        1007, LogLevel.Warning,
        "{Space}: no memory slot for {Claim} at 0x{Address:x}: its accesses are dispatched instead ({Reason}); {Suppressed} earlier ones not shown")]
    public static partial void SlotRefused(ILogger logger, string space, string claim, ulong address, string reason, long suppressed);

    [LoggerMessage(1008, LogLevel.Error, "{Space}: the observer of accesses failed; {Suppressed} earlier ones not shown")]
    public static partial void ObserverFailed(ILogger logger, Exception exception, string space, long suppressed);
}
