namespace Vmm.Virtio.Queues;

/// <summary>Where the device stands in a ring that is not being served: enough to go on with nothing lost or repeated (VQ-6).</summary>
public sealed record VirtqueueState
{
    /// <summary>
    /// Split: free-running index of the next entry of the available ring that the device will take. Packed: place of the next descriptor that it
    /// will take in bits 14:0, and the wrap counter of that lap in bit 15.
    /// </summary>
    public required ushort AvailableIndex { get; init; }

    /// <summary>
    /// Split: free-running index of the next entry of the used ring that the device will write. Packed: place of the next used descriptor that it
    /// will write in bits 14:0, and the wrap counter of that lap in bit 15.
    /// </summary>
    public required ushort UsedIndex { get; init; }
}
