namespace Vmm.Pci.Spec;

/// <summary>Capability IDs (PCI Code and ID Assignment Specification, chapter 2).</summary>
public static class CapabilityIds
{
    /// <summary>Power management.</summary>
    public const byte PowerManagement = 0x01;

    /// <summary>Message-signalled interrupts.</summary>
    public const byte Msi = 0x05;

    /// <summary>Vendor-specific; virtio describes its structures with it.</summary>
    public const byte VendorSpecific = 0x09;

    /// <summary>PCI Express.</summary>
    public const byte PciExpress = 0x10;

    /// <summary>MSI-X.</summary>
    public const byte Msix = 0x11;
}
