namespace Vmm.Pci.Bridges;

/// <summary>How a function leaves a slot.</summary>
/// <remarks>
/// A driver must bear a surprise: reads of a function that is gone are all-ones. The virtio driver of Linux 6.1 was seen not to come back from
/// its removal then, and the slot with it (a device status of all-ones never turns zero). Virtio functions are removed in order there.
/// </remarks>
public enum SlotRemoval
{
    /// <summary>The guest is asked by the attention button; the function leaves when the guest has powered the slot off.</summary>
    Orderly,

    /// <summary>The function is gone at once, and the guest is told.</summary>
    Surprise,
}
