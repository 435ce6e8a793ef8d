using System;
using Microsoft.Extensions.Logging;

namespace Vmm.Vfio;

/// <summary>The log messages of passed-through functions: event ids 4100 to 4199. What a guest can trigger is rate-limited by its callers.</summary>
internal static partial class Log
{
    [LoggerMessage(4100, LogLevel.Warning, "{Name}: {Remark}")]
    public static partial void DeviceRemark(ILogger logger, string name, string remark);

    [LoggerMessage(
        4101, LogLevel.Warning,
        "{Name}: region {Region}: 0x{Length:x} bytes at 0x{Offset:x} cannot be mapped, the BAR is reached by exits")]
    public static partial void MappingFellBack(ILogger logger, Exception reason, string name, int region, ulong length, ulong offset);

    [LoggerMessage(4102, LogLevel.Warning, "{Name}: interrupts cannot be switched from {From} to {To}; back to {Now}")]
    public static partial void InterruptsRefused(ILogger logger, Exception reason, string name, string from, string to, string now);

    [LoggerMessage(4103, LogLevel.Warning, "{Name}: the device gives no more interrupts; some vectors stay silent")]
    public static partial void VectorsRefused(ILogger logger, Exception reason, string name);

    [LoggerMessage(
        4110, LogLevel.Warning,
        "{Name}: the host has {Given} of the {Wanted} {Kind} interrupts that the guest enabled; the others stay silent")]
    public static partial void FewerVectors(ILogger logger, string name, string kind, int given, int wanted);

    [LoggerMessage(4104, LogLevel.Warning, "{Name}: the device cannot be reset: {Reason}")]
    public static partial void ResetRefused(ILogger logger, string name, string reason);

    [LoggerMessage(4105, LogLevel.Error, "{Name}: the device reports an uncorrectable error")]
    public static partial void ErrorReported(ILogger logger, string name);

    [LoggerMessage(4106, LogLevel.Information, "{Name}: the host asks for the device back")]
    public static partial void RemovalRequested(ILogger logger, string name);

    [LoggerMessage(4107, LogLevel.Warning, "{Name}: the device's {Kind} interrupt is not watched")]
    public static partial void WatchRefused(ILogger logger, Exception reason, string name, string kind);

    [LoggerMessage(4108, LogLevel.Warning, "{Name}: letting go of the device: {Step} failed")]
    public static partial void ReleaseFailed(ILogger logger, Exception reason, string name, string step);

    [LoggerMessage(4109, LogLevel.Warning, "{Name}: BAR {Bar} at 0x{Address:x} is not reached by other devices")]
    public static partial void PeerMappingRefused(ILogger logger, Exception reason, string name, int bar, ulong address);
}
