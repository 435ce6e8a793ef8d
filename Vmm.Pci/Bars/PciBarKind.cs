namespace Vmm.Pci.Bars;

/// <summary>What a base address register addresses (PCI 3.0, 6.2.5).</summary>
public enum PciBarKind
{
    /// <summary>Ports: 4 to 256 bytes of I/O space.</summary>
    Io,

    /// <summary>Memory anywhere below 4 GiB: 16 bytes to 2 GiB.</summary>
    Memory32,

    /// <summary>Memory anywhere: at least 16 bytes; takes two registers.</summary>
    Memory64,

    /// <summary>The expansion ROM: 2 KiB to 16 MiB, with an enable bit of its own.</summary>
    Rom,
}
