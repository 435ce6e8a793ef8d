namespace Vmm.Virtio.Queues;

/// <summary>Where the device stands in a ring that is not being served: enough to go on with nothing lost or repeated (VQ-6).</summary>
public sealed record VirtqueueState
{
    /// <summary>Free-running index of the next entry of the available ring that the device will take.</summary>
    public required ushort AvailableIndex { get; init; }

    /// <summary>Free-running index of the next entry of the used ring that the device will write.</summary>
    public required ushort UsedIndex { get; init; }
}
