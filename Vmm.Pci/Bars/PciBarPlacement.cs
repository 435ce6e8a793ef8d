namespace Vmm.Pci.Bars;

/// <summary>Which window a memory BAR's first address is taken from; a guest may move it anywhere (PCI-14).</summary>
public enum PciBarPlacement
{
    /// <summary>64-bit BARs above 4 GiB if there is such a window, everything else below.</summary>
    Automatic,

    /// <summary>Below 4 GiB, for guests whose firmware is 32-bit.</summary>
    Below4GiB,
}
