using Microsoft.Extensions.Logging;

namespace Vmm.Kvm;

/// <summary>Everything this assembly logs; event ids from 5000.</summary>
internal static partial class Log
{
    [LoggerMessage(5000, LogLevel.Warning, "the kernel did not remove the {Kind} at {Where}: errno {Errno}")]
    public static partial void RemovalRefused(this ILogger logger, string kind, string where, int errno);

    [LoggerMessage(5001, LogLevel.Warning, "the kernel did not set interrupt line {Gsi}: errno {Errno}")]
    public static partial void LineRefused(this ILogger logger, int gsi, int errno);

    [LoggerMessage(
        5002, LogLevel.Information,
        "vcpu{Vcpu} {Access} of {Width} bytes at {Space} 0x{Address:X} that nobody claims{Detail}; {Suppressed} more not shown")]
    public static partial void UnclaimedAccess(
        this ILogger logger, int vcpu, string access, int width, string space, ulong address, string detail, long suppressed);

    [LoggerMessage(5003, LogLevel.Information, "{Access} of {Width} bytes at {Space} 0x{Address:X} that nobody claims; {Suppressed} more not shown")]
    public static partial void UnclaimedAccessOutsideVcpu(
        this ILogger logger, string access, int width, string space, ulong address, long suppressed);

    [LoggerMessage(5004, LogLevel.Information, "vcpu{Vcpu} stopped the machine: {Kind}: {Message}")]
    public static partial void StoppedByVcpu(this ILogger logger, int vcpu, VmStopKind kind, string message);

    [LoggerMessage(5005, LogLevel.Error, "vcpu{Vcpu} stopped the machine: {Kind}: {Message}")]
    public static partial void FailedVcpu(this ILogger logger, int vcpu, VmStopKind kind, string message);
}
