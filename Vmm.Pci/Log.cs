using System;
using Microsoft.Extensions.Logging;

namespace Vmm.Pci;

/// <summary>The log messages of this assembly: event ids 2000 to 2999. All can be triggered by a guest and are rate-limited by their callers.</summary>
internal static partial class Log
{
    [LoggerMessage(2000, LogLevel.Warning, "{Name} at {Address}: BAR {Bar} cannot be mapped at 0x{Target:x} and does not decode")]
    public static partial void MappingFailed(ILogger logger, Exception reason, string name, PciAddress address, int bar, ulong target);

    [LoggerMessage(2001, LogLevel.Warning, "{Name} at {Address}: vector {Vector} has no interrupt route, its eventfd is not delivered")]
    public static partial void RouteRefused(ILogger logger, Exception reason, string name, PciAddress address, int vector);

    [LoggerMessage(2002, LogLevel.Error, "{Name} at {Address}: a configuration access failed at offset 0x{Offset:x}")]
    public static partial void AccessFaulted(ILogger logger, Exception reason, string name, PciAddress address, int offset);
}
