using System;
using Microsoft.Extensions.Logging;

namespace Vmm.Vfio.Backend;

/// <summary>The log messages of what lies under a passed-through function: event ids 4000 to 4099.</summary>
internal static partial class BackendLog
{
    [LoggerMessage(4000, LogLevel.Error, "guest memory at 0x{Address:x} stays mapped for devices")]
    public static partial void UnmapRefused(ILogger logger, Exception reason, ulong address);

    [LoggerMessage(4001, LogLevel.Information, "{Name} gets an I/O address space of its own: {Reason}")]
    public static partial void NotMerged(ILogger logger, string name, string reason);
}
