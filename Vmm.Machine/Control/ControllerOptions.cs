using System;
using Vmm.Machine.Events;

namespace Vmm.Machine.Control;

/// <summary>How a <see cref="MachineController"/> runs machines.</summary>
public sealed record ControllerOptions
{
    /// <summary>A guest that resets starts again; otherwise the controller ends.</summary>
    public bool RestartOnReset { get; init; } = true;

    /// <summary>Told of what happens, from any thread, in order; returns at once and throws nothing.</summary>
    public Action<MachineEvent>? OnEvent { get; init; }

    /// <summary>Looks at, and may change, what a machine is made from each time before it is made: logs, traces, what runs on Ctrl-A x.</summary>
    public Func<MachineOptions, MachineOptions> Prepare { get; init; } = static options => options;

    /// <summary>How long vCPUs and requests in flight are waited for at a pause.</summary>
    public TimeSpan PauseLimit { get; init; } = TimeSpan.FromSeconds(5);
}
