using System;

namespace Vmm.Pci.ConfigSpace;

/// <summary>The Command register (PCI 3.0, 6.2.2).</summary>
[Flags]
public enum PciCommand
{
    /// <summary>Decodes nothing, masters nothing.</summary>
    None = 0,

    /// <summary>I/O BARs decode.</summary>
    IoSpace = 1 << 0,

    /// <summary>Memory BARs, and an enabled expansion ROM, decode.</summary>
    MemorySpace = 1 << 1,

    /// <summary>The function may access memory and send messages.</summary>
    BusMaster = 1 << 2,

    /// <summary>Parity errors are answered.</summary>
    ParityErrorResponse = 1 << 6,

    /// <summary>System errors are reported.</summary>
    SystemError = 1 << 8,

    /// <summary>INTx is not asserted.</summary>
    InterruptDisable = 1 << 10,
}
