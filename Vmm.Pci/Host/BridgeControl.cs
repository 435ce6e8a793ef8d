using System;

namespace Vmm.Pci.Host;

/// <summary>The Bridge Control register (PCI-to-PCI Bridge 1.2, 3.2.5.18; PCIe base, 7.5.1.3.13).</summary>
[Flags]
public enum BridgeControl
{
    /// <summary>Nothing set.</summary>
    None = 0,

    /// <summary>Parity errors of the secondary side are answered.</summary>
    ParityErrorResponse = 1 << 0,

    /// <summary>System errors of the secondary side are forwarded.</summary>
    SystemError = 1 << 1,

    /// <summary>Of each KiB of I/O space only the first 256 bytes are forwarded.</summary>
    IsaEnable = 1 << 2,

    /// <summary>The secondary bus is held in reset.</summary>
    SecondaryBusReset = 1 << 6,
}
