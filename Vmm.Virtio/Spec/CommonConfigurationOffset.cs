namespace Vmm.Virtio.Spec;

/// <summary>Byte offsets in <c>struct virtio_pci_common_cfg</c> (virtio 1.2, 4.1.4.3).</summary>
public static class CommonConfigurationOffset
{
    /// <summary>le32, read-write: which 32 bits <see cref="DeviceFeature"/> shows.</summary>
    public const int DeviceFeatureSelect = 0x00;

    /// <summary>le32, read-only: offered feature bits.</summary>
    public const int DeviceFeature = 0x04;

    /// <summary>le32, read-write: which 32 bits <see cref="DriverFeature"/> shows.</summary>
    public const int DriverFeatureSelect = 0x08;

    /// <summary>le32, read-write: acknowledged feature bits.</summary>
    public const int DriverFeature = 0x0c;

    /// <summary>le16, read-write: MSI-X vector of configuration changes.</summary>
    public const int ConfigMsixVector = 0x10;

    /// <summary>le16, read-only: number of queues.</summary>
    public const int NumQueues = 0x12;

    /// <summary>u8, read-write: <see cref="Spec.DeviceStatus"/>.</summary>
    public const int DeviceStatus = 0x14;

    /// <summary>u8, read-only: changes when device configuration has changed.</summary>
    public const int ConfigGeneration = 0x15;

    /// <summary>le16, read-write: which queue the fields below are of.</summary>
    public const int QueueSelect = 0x16;

    /// <summary>le16, read-write: descriptors in the queue.</summary>
    public const int QueueSize = 0x18;

    /// <summary>le16, read-write: MSI-X vector of the queue.</summary>
    public const int QueueMsixVector = 0x1a;

    /// <summary>le16, read-write: 1 once the queue is enabled.</summary>
    public const int QueueEnable = 0x1c;

    /// <summary>le16, read-only: times the multiplier gives the queue's notify address.</summary>
    public const int QueueNotifyOff = 0x1e;

    /// <summary>le64, read-write: descriptor area.</summary>
    public const int QueueDescriptors = 0x20;

    /// <summary>le64, read-write: driver area (split: available ring).</summary>
    public const int QueueDriver = 0x28;

    /// <summary>le64, read-write: device area (split: used ring).</summary>
    public const int QueueDevice = 0x30;

    /// <summary>le16, read-only: data for notifications, only with VIRTIO_F_NOTIF_CONFIG_DATA.</summary>
    public const int QueueNotifyData = 0x38;

    /// <summary>le16, read-write: 1 resets the queue, only with <see cref="TransportFeatures.RingReset"/>.</summary>
    public const int QueueReset = 0x3a;

    /// <summary>Bytes of the structure.</summary>
    public const int Length = 0x40;
}
