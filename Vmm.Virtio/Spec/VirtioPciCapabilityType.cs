namespace Vmm.Virtio.Spec;

/// <summary>The <c>cfg_type</c> of a virtio structure capability (virtio 1.2, 4.1.4).</summary>
public enum VirtioPciCapabilityType : byte
{
    /// <summary>Common configuration, 4.1.4.3.</summary>
    CommonConfiguration = 1,

    /// <summary>Notifications, 4.1.4.4.</summary>
    Notification = 2,

    /// <summary>ISR status, 4.1.4.5.</summary>
    Isr = 3,

    /// <summary>Device-specific configuration, 4.1.4.6.</summary>
    DeviceConfiguration = 4,

    /// <summary>The window in configuration space, 4.1.4.9.</summary>
    PciConfigurationAccess = 5,

    /// <summary>A shared memory region, 4.1.4.7.</summary>
    SharedMemory = 8,
}
