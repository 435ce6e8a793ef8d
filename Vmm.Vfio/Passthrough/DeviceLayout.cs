using System;
using System.Collections.Generic;
using Vmm.Pci;
using Vmm.Pci.Access;
using Vmm.Pci.Interrupts;

namespace Vmm.Vfio.Passthrough;

/// <summary>
/// What a device is, from its configuration space, regions and interrupts: all of it checked, what it lies about left out (VFIO-7).
/// </summary>
public sealed record DeviceLayout
{
    /// <summary>Configuration space as it was read, 256 or 4096 bytes.</summary>
    public required ReadOnlyMemory<byte> Image { get; init; }

    /// <summary>What the device says it is.</summary>
    public required PciIdentity Identity { get; init; }

    /// <summary>The pin it interrupts by.</summary>
    public required InterruptPin Pin { get; init; }

    /// <summary>The BARs that a guest can be given, the ROM last.</summary>
    public required IReadOnlyList<DeviceBar> Bars { get; init; }

    /// <summary>The standard capabilities that the guest sees, in order.</summary>
    public required IReadOnlyList<DeviceCapability> Capabilities { get; init; }

    /// <summary>The extended capabilities that the guest sees, in order.</summary>
    public required IReadOnlyList<DeviceCapability> ExtendedCapabilities { get; init; }

    /// <summary>Capabilities of both lists that are taken out.</summary>
    public required IReadOnlyList<DeviceCapability> Hidden { get; init; }

    /// <summary>MSI-X, or null.</summary>
    public MsixPlace? Msix { get; init; }

    /// <summary>MSI, or null.</summary>
    public MsiPlace? Msi { get; init; }

    /// <summary>Power management, or null.</summary>
    public DeviceCapability? PowerManagement { get; init; }

    /// <summary>PCI Express, or null.</summary>
    public DeviceCapability? Express { get; init; }

    /// <summary>Advanced features (reset of conventional functions), or null.</summary>
    public DeviceCapability? AdvancedFeatures { get; init; }

    /// <summary>What is wrong with the device and was left out, for a person.</summary>
    public required IReadOnlyList<string> Remarks { get; init; }
}
