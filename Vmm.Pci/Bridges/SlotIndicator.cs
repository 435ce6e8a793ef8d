namespace Vmm.Pci.Bridges;

/// <summary>What a slot's indicator shows (PCIe base, 7.5.3.10).</summary>
public enum SlotIndicator
{
    /// <summary>Reserved; software does not write it.</summary>
    Reserved = 0,

    /// <summary>On.</summary>
    On = 1,

    /// <summary>Blinking: an operation is in progress.</summary>
    Blink = 2,

    /// <summary>Off.</summary>
    Off = 3,
}
