namespace Vmm.Pci.Bridges;

/// <summary>How a function leaves a slot.</summary>
public enum SlotRemoval
{
    /// <summary>The guest is asked by the attention button; the function leaves when the guest has powered the slot off.</summary>
    Orderly,

    /// <summary>The function is gone at once, and the guest is told.</summary>
    Surprise,
}
