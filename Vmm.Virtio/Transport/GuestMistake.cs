namespace Vmm.Virtio.Transport;

/// <summary>What a driver can do wrong on a virtio function. Each is ignored and counted; none is an exception.</summary>
public enum GuestMistake
{
    /// <summary>A status write that clears bits or skips a step.</summary>
    StatusSkipped,

    /// <summary>FEATURES_OK was refused.</summary>
    FeaturesRefused,

    /// <summary>Features were written after FEATURES_OK.</summary>
    FeaturesFrozen,

    /// <summary>A write to a queue that does not exist.</summary>
    NoSuchQueue,

    /// <summary>A queue size that is 0, above the maximum or, for a split ring, not a power of two.</summary>
    QueueSizeRefused,

    /// <summary>A write to a register of an enabled queue.</summary>
    QueueFrozen,

    /// <summary>A value other than 1 written to queue_enable.</summary>
    QueueDisableIgnored,

    /// <summary>queue_reset was written without VIRTIO_F_RING_RESET, or with a value other than 1.</summary>
    QueueResetIgnored,

    /// <summary>A vector outside the MSI-X table; the event is unmapped instead.</summary>
    VectorRefused,

    /// <summary>A notification that is neither 2 nor 4 bytes wide, or of a queue that is not enabled.</summary>
    NotificationIgnored,

    /// <summary>An access through the configuration window that no BAR answers.</summary>
    WindowRefused,

    /// <summary>A ring that cannot be used.</summary>
    BadRing,
}
