namespace Vmm.Virtio.Spec;

/// <summary>Numbers that a virtio PCI function is known by (virtio 1.2, 4.1.2), and the vector that means none (4.1.5.1.2).</summary>
public static class VirtioPciIds
{
    /// <summary>PCI vendor id.</summary>
    public const ushort Vendor = 0x1af4;

    /// <summary>The first PCI device id of virtio, of a transitional device.</summary>
    public const ushort FirstDevice = 0x1000;

    /// <summary>The last PCI device id of virtio.</summary>
    public const ushort LastDevice = 0x107f;

    /// <summary>The PCI device id is this plus the device type.</summary>
    public const ushort DeviceBase = 0x1040;

    /// <summary>Revision of a device without a legacy interface.</summary>
    public const byte Revision = 1;

    /// <summary>VIRTIO_MSI_NO_VECTOR: the event has no MSI-X vector.</summary>
    public const ushort NoVector = 0xffff;

    /// <summary>Length of <c>struct virtio_pci_cap</c>, in bytes.</summary>
    public const int CapabilityLength = 16;

    /// <summary>Length of the notification capability, in bytes (4.1.4.4).</summary>
    public const int NotificationCapabilityLength = 20;

    /// <summary>Length of <c>struct virtio_pci_cap64</c>, in bytes (4.1.4.7).</summary>
    public const int Capability64Length = 24;

    /// <summary>Length of the PCI configuration access capability, in bytes (4.1.4.9).</summary>
    public const int PciConfigurationAccessCapabilityLength = 20;
}
