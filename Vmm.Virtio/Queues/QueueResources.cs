using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;

namespace Vmm.Virtio.Queues;

/// <summary>Resources of one queue, from its start to its stop (CON-1).</summary>
/// <remarks>
/// Enough for a ring in this process (<see cref="Virtqueue.TryCreate(QueueResources, out Virtqueue?, out string?)"/>), in another one or in the
/// kernel. Kick and interrupt stay the transport's.
/// </remarks>
public sealed class QueueResources
{
    /// <summary>Index, size, addresses, negotiated features, and the place in the ring to go on from.</summary>
    public required VirtqueueConfiguration Configuration { get; init; }

    /// <summary>How the addresses of rings and buffers are reached.</summary>
    public required DmaTarget Dma { get; init; }

    /// <summary>Signalled by the driver's notifications.</summary>
    public required EventFd Kick { get; init; }

    /// <summary>Where the used buffer notification goes.</summary>
    public required IQueueInterrupt Interrupt { get; init; }
}
