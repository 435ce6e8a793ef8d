namespace Vmm.Virtio.Spec;

/// <summary>Feature bits that are the transport's business (virtio 1.2, section 6).</summary>
public static class TransportFeatures
{
    /// <summary>VIRTIO_F_VERSION_1, bit 32: the driver follows the specification; without it no negotiation succeeds.</summary>
    public const ulong Version1 = 1UL << 32;

    /// <summary>VIRTIO_F_ACCESS_PLATFORM, bit 33: addresses are bus addresses, translated by the platform.</summary>
    public const ulong AccessPlatform = 1UL << 33;

    /// <summary>VIRTIO_F_ORDER_PLATFORM, bit 36: accesses of both sides are ordered as the platform orders those of hardware.</summary>
    public const ulong OrderPlatform = 1UL << 36;

    /// <summary>VIRTIO_F_NOTIFICATION_DATA, bit 38: notifications are 32 bits wide and carry the driver's place in the ring.</summary>
    public const ulong NotificationData = 1UL << 38;

    /// <summary>VIRTIO_F_NOTIF_CONFIG_DATA, bit 39: notifications carry queue_notify_data instead of the queue's index.</summary>
    public const ulong NotificationConfigurationData = 1UL << 39;

    /// <summary>VIRTIO_F_RING_RESET, bit 40: queues can be reset one by one (2.6.1).</summary>
    public const ulong RingReset = 1UL << 40;
}
