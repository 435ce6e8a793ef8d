namespace Vmm.Virtio.Devices;

/// <summary>Device types of virtio 1.2, section 5; the PCI device id is 0x1040 plus the value. The number of another type may be cast.</summary>
public enum VirtioDeviceType : ushort
{
    /// <summary>Network device, 5.1.</summary>
    Net = 1,

    /// <summary>Block device, 5.2.</summary>
    Block = 2,

    /// <summary>Console device, 5.3.</summary>
    Console = 3,

    /// <summary>Entropy device, 5.4.</summary>
    Entropy = 4,

    /// <summary>Memory balloon, 5.5.</summary>
    Balloon = 5,
}
