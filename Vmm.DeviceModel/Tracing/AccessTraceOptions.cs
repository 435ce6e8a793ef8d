using System;
using System.Collections.Generic;

namespace Vmm.DeviceModel.Tracing;

/// <summary>Options of an <see cref="AccessTrace"/>.</summary>
public sealed record AccessTraceOptions
{
    /// <summary>Names of the devices whose accesses are written (<see cref="Bus.Claim.Device"/>); null for all.</summary>
    public IReadOnlyCollection<string>? Devices { get; init; }

    /// <summary>
    /// Number of the vCPU that the calling thread runs, or a negative number if it runs none; null where there are no vCPUs. Called on each access
    /// that is written: it must not wait.
    /// </summary>
    public Func<int>? Vcpu { get; init; }

    /// <summary>How many accesses wait to be written at most, a power of two; more are lost and counted.</summary>
    public int Capacity { get; init; } = 1 << 14;

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
