namespace Vmm.Pci.Access;

/// <summary>The regions of a PCI device, numbered as linux/vfio.h does.</summary>
public enum PciRegionIndex
{
    /// <summary>BAR 0; BARs 1 to 5 follow.</summary>
    Bar0 = 0,

    /// <summary>BAR 5.</summary>
    Bar5 = 5,

    /// <summary>The expansion ROM.</summary>
    Rom = 6,

    /// <summary>Configuration space.</summary>
    Configuration = 7,
}
