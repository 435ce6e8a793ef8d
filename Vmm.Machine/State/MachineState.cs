namespace Vmm.Machine.State;

/// <summary>The make of a machine, for comparison only (version 1): a state fits a machine of the same make.</summary>
public sealed record MachineState
{
    /// <summary>Kind in saved states.</summary>
    internal const string Kind = "machine";

    /// <summary>Version that is written.</summary>
    internal const int Version = 1;

    /// <summary>Bytes of RAM.</summary>
    public required ulong Memory { get; init; }

    /// <summary>Number of vCPUs.</summary>
    public required int Cpus { get; init; }
}
