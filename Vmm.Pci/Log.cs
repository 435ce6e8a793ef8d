using System;
using Microsoft.Extensions.Logging;

namespace Vmm.Pci;

/// <summary>
/// The log messages of this assembly: event ids 2000 to 2999. Those that a guest can trigger are rate-limited by their callers.
/// </summary>
internal static partial class Log
{
    [LoggerMessage(
        2000, LogLevel.Warning,
        "{Name} at {Address}: BAR {Bar} cannot be mapped at 0x{Target:x} and does not decode; {Suppressed} earlier ones not shown")]
    public static partial void MappingFailed(
        ILogger logger, Exception reason, string name, PciAddress address, int bar, ulong target, long suppressed);

    [LoggerMessage(
        2001, LogLevel.Warning,
        "{Name} at {Address}: vector {Vector} has no interrupt route, its eventfd is not delivered; {Suppressed} earlier ones not shown")]
    public static partial void RouteRefused(ILogger logger, Exception reason, string name, PciAddress address, int vector, long suppressed);

    [LoggerMessage(
        2002, LogLevel.Error,
        "{Name} at {Address}: the device failed in a hook or a handler, at or behind register 0x{Offset:x}; {Suppressed} earlier ones not shown")]
    public static partial void Faulted(ILogger logger, Exception reason, string name, PciAddress address, int offset, long suppressed);

    [LoggerMessage(2003, LogLevel.Warning, "after a reset {Reason}; it does not decode; {Suppressed} earlier ones not shown")]
    public static partial void Unplaced(ILogger logger, string reason, long suppressed);

    [LoggerMessage(2004, LogLevel.Error, "{Name}: could not be disposed")]
    public static partial void DisposalFailed(ILogger logger, Exception reason, string name);

    [LoggerMessage(2005, LogLevel.Warning, "{Name}: BAR {Bar} cannot be mapped, and each access to it is a call")]
    public static partial void BarNotMapped(ILogger logger, Exception reason, string name, int bar);
}
