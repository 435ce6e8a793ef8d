namespace Vmm.Pci.Capabilities;

/// <summary>The power state of a function as PMCSR encodes it (PCI-PM 1.2, 3.2.4).</summary>
public enum PciPowerState
{
    /// <summary>Fully on.</summary>
    D0 = 0,

    /// <summary>Light sleep; optional, not offered here.</summary>
    D1 = 1,

    /// <summary>Deeper sleep; optional, not offered here.</summary>
    D2 = 2,

    /// <summary>Off but for configuration space.</summary>
    D3Hot = 3,
}
