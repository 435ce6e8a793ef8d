namespace Vmm.Conformance.Models;

/// <summary>How a device model is made.</summary>
public sealed record ModelOptions
{
    /// <summary>Which.</summary>
    public required ModelKind Model { get; init; }

    /// <summary>Offer packed rings.</summary>
    public bool Packed { get; init; }

    /// <summary>Offer VIRTIO_F_EVENT_IDX.</summary>
    public bool EventIndex { get; init; } = true;

    /// <summary>Offer VIRTIO_F_INDIRECT_DESC.</summary>
    public bool Indirect { get; init; } = true;

    /// <summary>Offer VIRTIO_F_RING_RESET.</summary>
    public bool RingReset { get; init; } = true;

    /// <summary>Offer VIRTIO_F_NOTIFICATION_DATA.</summary>
    public bool NotificationData { get; init; }

    /// <summary>MSI-X vectors; 0 for INTx; null for one a queue and one more.</summary>
    public int? Vectors { get; init; }

    /// <summary>Offer VIRTIO_F_ACCESS_PLATFORM and insist on it.</summary>
    public bool Iommu { get; init; }

    /// <summary>Queues of a block device.</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>Descriptors in each queue, a power of two.</summary>
    public ushort QueueSize { get; init; } = 256;
}
