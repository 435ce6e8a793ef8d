namespace Vmm.Pci.State;

/// <summary>The state of a root port's slot beside its registers (version 1).</summary>
public sealed record SlotState
{
    /// <summary>Kind in saved states.</summary>
    internal const string Kind = "pci.slot";

    /// <summary>Version that is written.</summary>
    internal const int Version = 1;

    /// <summary>The guest was asked to release the device and has not done so.</summary>
    public required bool RemovalAsked { get; init; }
}
