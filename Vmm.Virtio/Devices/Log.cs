using Microsoft.Extensions.Logging;

namespace Vmm.Virtio.Devices;

/// <summary>What devices log; event ids 3100 to 3199.</summary>
internal static partial class Log
{
    [LoggerMessage(3100, LogLevel.Warning, "{Device}: the host failed a {Request}; the guest got an I/O error (failure {Count})")]
    public static partial void RequestFailed(ILogger logger, string device, string request, long count);
}
