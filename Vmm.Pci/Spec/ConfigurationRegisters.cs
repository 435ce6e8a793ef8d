namespace Vmm.Pci.Spec;

/// <summary>Offsets in the type-0 configuration header (PCI 3.0, 6.1).</summary>
public static class ConfigurationRegisters
{
    /// <summary>Vendor ID, 16 bits.</summary>
    public const int VendorId = 0x00;

    /// <summary>Device ID, 16 bits.</summary>
    public const int DeviceId = 0x02;

    /// <summary>Command, 16 bits.</summary>
    public const int Command = 0x04;

    /// <summary>Status, 16 bits.</summary>
    public const int Status = 0x06;

    /// <summary>Revision ID, 8 bits; the class code follows in 24.</summary>
    public const int RevisionId = 0x08;

    /// <summary>Cache line size, 8 bits.</summary>
    public const int CacheLineSize = 0x0c;

    /// <summary>Latency timer, 8 bits.</summary>
    public const int LatencyTimer = 0x0d;

    /// <summary>Header type, 8 bits; bit 7 says that the device has several functions.</summary>
    public const int HeaderType = 0x0e;

    /// <summary>The first of six base address registers, 32 bits each.</summary>
    public const int Bar0 = 0x10;

    /// <summary>Subsystem vendor ID, 16 bits.</summary>
    public const int SubsystemVendorId = 0x2c;

    /// <summary>Subsystem ID, 16 bits.</summary>
    public const int SubsystemId = 0x2e;

    /// <summary>Expansion ROM base address, 32 bits.</summary>
    public const int ExpansionRom = 0x30;

    /// <summary>Offset of the first capability, 8 bits.</summary>
    public const int CapabilitiesPointer = 0x34;

    /// <summary>Interrupt line, 8 bits: written by firmware, read by drivers.</summary>
    public const int InterruptLine = 0x3c;

    /// <summary>Interrupt pin, 8 bits: 0 for none, 1 to 4 for A to D.</summary>
    public const int InterruptPin = 0x3d;

    /// <summary>Type 1: number of the bus above, 8 bits.</summary>
    public const int PrimaryBus = 0x18;

    /// <summary>Type 1: number of the bus behind, 8 bits.</summary>
    public const int SecondaryBus = 0x19;

    /// <summary>Type 1: highest bus number behind, 8 bits.</summary>
    public const int SubordinateBus = 0x1a;

    /// <summary>Type 1: base of the I/O window, 8 bits: address bits 15 to 12 in the upper half.</summary>
    public const int IoBase = 0x1c;

    /// <summary>Type 1: limit of the I/O window, 8 bits.</summary>
    public const int IoLimit = 0x1d;

    /// <summary>Type 1: status of the secondary side, 16 bits, write-1-to-clear.</summary>
    public const int SecondaryStatus = 0x1e;

    /// <summary>Type 1: base of the memory window, 16 bits: address bits 31 to 20 in the upper 12.</summary>
    public const int MemoryBase = 0x20;

    /// <summary>Type 1: limit of the memory window, 16 bits.</summary>
    public const int MemoryLimit = 0x22;

    /// <summary>Type 1: base of the prefetchable window, 16 bits.</summary>
    public const int PrefetchableBase = 0x24;

    /// <summary>Type 1: limit of the prefetchable window, 16 bits.</summary>
    public const int PrefetchableLimit = 0x26;

    /// <summary>Type 1: address bits 63 to 32 of the prefetchable base.</summary>
    public const int PrefetchableBaseUpper = 0x28;

    /// <summary>Type 1: address bits 63 to 32 of the prefetchable limit.</summary>
    public const int PrefetchableLimitUpper = 0x2c;

    /// <summary>Type 1: bridge control, 16 bits.</summary>
    public const int BridgeControl = 0x3e;

    /// <summary>First byte that capabilities may use.</summary>
    public const int FirstCapability = 0x40;

    /// <summary>First byte of extended space.</summary>
    public const int FirstExtendedCapability = 0x100;
}
