namespace Vmm.Virtio.Queues;

/// <summary>What a driver programmed for one queue, as the transport hands it over.</summary>
public sealed record VirtqueueConfiguration
{
    /// <summary>Queue index.</summary>
    public required int Index { get; init; }

    /// <summary>Number of descriptors: 1 to 32768; a power of two for a split ring.</summary>
    public required ushort Size { get; init; }

    /// <summary>Address of the descriptor area (split: the descriptor table; packed: the descriptor ring).</summary>
    public required ulong Descriptors { get; init; }

    /// <summary>Address of the driver area (split: the available ring; packed: the driver event suppression).</summary>
    public required ulong Driver { get; init; }

    /// <summary>Address of the device area (split: the used ring; packed: the device event suppression).</summary>
    public required ulong Device { get; init; }

    /// <summary>Negotiated features; the ring looks at those of <see cref="RingFeatures"/>.</summary>
    public required ulong Features { get; init; }

    /// <summary>Where to go on, or null for a ring that starts at its beginning.</summary>
    public VirtqueueState? State { get; init; }
}
