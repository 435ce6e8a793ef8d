using Microsoft.Extensions.Logging;

namespace Vmm.Machine.Devices;

/// <summary>The message about pseudo-terminals; its id is one of the machine's.</summary>
internal static partial class TerminalLog
{
    [LoggerMessage(6020, LogLevel.Information, "{Id} is on the pseudo-terminal {Path}")]
    public static partial void TerminalOpened(this ILogger logger, string id, string path);
}
