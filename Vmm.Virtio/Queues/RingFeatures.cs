namespace Vmm.Virtio.Queues;

/// <summary>Feature bits that change the form or the rules of a ring (virtio 1.2, section 6).</summary>
public static class RingFeatures
{
    /// <summary>VIRTIO_F_INDIRECT_DESC, bit 28: a descriptor may refer to a table of descriptors (2.7.5.3).</summary>
    public const ulong IndirectDescriptors = 1UL << 28;

    /// <summary>VIRTIO_F_EVENT_IDX, bit 29: notifications are asked for by index instead of by flag (2.7.7, 2.7.10).</summary>
    public const ulong EventIndex = 1UL << 29;

    /// <summary>VIRTIO_F_RING_PACKED, bit 34: the packed layout (2.8).</summary>
    public const ulong Packed = 1UL << 34;

    /// <summary>VIRTIO_F_IN_ORDER, bit 35: the device uses buffers in the order in which they were made available (2.7.9, 2.8.8).</summary>
    public const ulong InOrder = 1UL << 35;
}
