namespace Vmm.Pci.State;

/// <summary>The state of the configuration ports (version 1).</summary>
public sealed record HostBridgeState
{
    /// <summary>Kind in saved states.</summary>
    internal const string Kind = "pci.host-bridge";

    /// <summary>Version that is written.</summary>
    internal const int Version = 1;

    /// <summary>The latch at port 0xcf8.</summary>
    public required uint ConfigurationAddress { get; init; }
}
