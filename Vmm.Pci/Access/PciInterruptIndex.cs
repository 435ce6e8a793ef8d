namespace Vmm.Pci.Access;

/// <summary>The kinds of interrupt of a PCI device, numbered as linux/vfio.h does.</summary>
public enum PciInterruptIndex
{
    /// <summary>The INTx pin.</summary>
    Pin = 0,

    /// <summary>MSI.</summary>
    Msi = 1,

    /// <summary>MSI-X.</summary>
    Msix = 2,

    /// <summary>Uncorrectable errors (AER).</summary>
    Error = 3,

    /// <summary>The host asks for the device back.</summary>
    Request = 4,
}
