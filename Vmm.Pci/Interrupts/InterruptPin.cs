namespace Vmm.Pci.Interrupts;

/// <summary>The Interrupt Pin register (PCI 3.0, 6.2.4).</summary>
public enum InterruptPin
{
    /// <summary>No INTx.</summary>
    None = 0,

    /// <summary>INTA.</summary>
    A = 1,

    /// <summary>INTB.</summary>
    B = 2,

    /// <summary>INTC.</summary>
    C = 3,

    /// <summary>INTD.</summary>
    D = 4,
}
