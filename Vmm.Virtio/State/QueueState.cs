namespace Vmm.Virtio.State;

/// <summary>The registers of one queue, and where its device stands in the ring.</summary>
public sealed record QueueState
{
    /// <summary>Queue index.</summary>
    public required int Index { get; init; }

    /// <summary>queue_size.</summary>
    public required ushort Size { get; init; }

    /// <summary>queue_msix_vector.</summary>
    public required ushort Vector { get; init; }

    /// <summary>queue_desc.</summary>
    public required ulong Descriptors { get; init; }

    /// <summary>queue_driver.</summary>
    public required ulong Driver { get; init; }

    /// <summary>queue_device.</summary>
    public required ulong Device { get; init; }

    /// <summary>queue_enable.</summary>
    public required bool Enabled { get; init; }

    /// <summary>Where the device goes on in the available ring (<see cref="Queues.VirtqueueState.AvailableIndex"/>); null if it did not run.</summary>
    public ushort? AvailableIndex { get; init; }

    /// <summary>Where the device goes on in the used ring (<see cref="Queues.VirtqueueState.UsedIndex"/>); null if it did not run.</summary>
    public ushort? UsedIndex { get; init; }
}
