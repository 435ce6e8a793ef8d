using Microsoft.Extensions.Logging;

namespace Vmm.Virtio.Devices;

/// <summary>What devices log; event ids 3100 to 3199.</summary>
internal static partial class Log
{
    [LoggerMessage(3100, LogLevel.Warning, "{Device}: the host failed a {Request}; the guest got an I/O error (failure {Count})")]
    public static partial void RequestFailed(ILogger logger, string device, string request, long count);

    [LoggerMessage(
        3101, LogLevel.Warning, "{Device}: queue {Queue} was stopped with {Count} requests that the host has not ended; they are dropped when it does")]
    public static partial void RequestsDetached(ILogger logger, string device, int queue, int count);

    [LoggerMessage(3102, LogLevel.Warning, "{Device}: the last flush takes longer than the end of the device waits; the disk is closed when it ends")]
    public static partial void ClosesLate(ILogger logger, string device);

    [LoggerMessage(3103, LogLevel.Error, "{Device}: the disk could not be closed")]
    public static partial void CloseFailed(ILogger logger, System.Exception failure, string device);

    [LoggerMessage(3104, LogLevel.Error, "{Device}: the device failed in a request of queue {Queue}, after that queue had been stopped")]
    public static partial void FormerQueueFailed(ILogger logger, System.Exception failure, string device, int queue);

    [LoggerMessage(3105, LogLevel.Warning, "{Device}: the disk was made smaller, and what requests have written beyond its end could not be cut off")]
    public static partial void NotCut(ILogger logger, System.Exception failure, string device);
}
