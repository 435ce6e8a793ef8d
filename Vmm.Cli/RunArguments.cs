using Microsoft.Extensions.Logging;
using Vmm.Machine;

namespace Vmm.Cli;

/// <summary>What <c>vmm run</c> was asked for.</summary>
/// <param name="Machine">The machine; without a kernel it is made by the API.</param>
/// <param name="RestartOnReset">False with --no-reboot.</param>
/// <param name="LogLevel">The least level that is logged.</param>
/// <param name="Trace">The trace, or null.</param>
/// <param name="PowerButtonOnTerm">The first SIGTERM presses the power button, instead of stopping the machine.</param>
public sealed record RunArguments(
    MachineOptions Machine, bool RestartOnReset, LogLevel LogLevel, TraceArguments? Trace = null, bool PowerButtonOnTerm = false)
{
    /// <summary>The API socket, or null.</summary>
    public Endpoint? Api { get; init; }

    /// <summary>Where events go, or null.</summary>
    public Endpoint? Events { get; init; }
}
