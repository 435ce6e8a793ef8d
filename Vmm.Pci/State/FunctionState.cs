using System.Collections.Generic;

namespace Vmm.Pci.State;

/// <summary>The state of a PCI function, without that of its device (version 1).</summary>
public sealed record FunctionState
{
    /// <summary>Kind in saved states.</summary>
    internal const string Kind = "pci.function";

    /// <summary>Version that is written.</summary>
    internal const int Version = 1;

    /// <summary>Vendor ID, for comparison only.</summary>
    public required ushort VendorId { get; init; }

    /// <summary>Device ID, for comparison only.</summary>
    public required ushort DeviceId { get; init; }

    /// <summary>The registers that do not have their power-on value, by ascending offset.</summary>
    public required IReadOnlyList<RegisterState> Registers { get; init; }

    /// <summary>The level that the device asks of its pin.</summary>
    public required bool PinAsserted { get; init; }

    /// <summary>The MSI-X vectors that are not as at power-on, by ascending index; null without MSI-X.</summary>
    public IReadOnlyList<VectorState>? Msix { get; init; }

    /// <summary>How many MSI messages the guest gave; null without MSI.</summary>
    public int? MsiEnabledCount { get; init; }

    /// <summary>The MSI vectors that are pending, ascending; null without MSI.</summary>
    public IReadOnlyList<int>? MsiPending { get; init; }
}
