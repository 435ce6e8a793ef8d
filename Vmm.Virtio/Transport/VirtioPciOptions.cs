using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>How a device is carried by its PCI function.</summary>
public sealed record VirtioPciOptions
{
    /// <summary>Names the function in logs, for example <c>disk0</c>; by default the device type.</summary>
    public string? Name { get; init; }

    /// <summary>MSI-X vectors, 1 to 2048; 0 for a function without MSI-X; by default one a queue and one for configuration changes.</summary>
    public int? Vectors { get; init; }

    /// <summary>Offer VIRTIO_F_RING_RESET: queues can be reset one by one.</summary>
    public bool RingReset { get; init; } = true;

    /// <summary>Offer VIRTIO_F_NOTIFICATION_DATA: notifications carry the driver's place in the ring.</summary>
    public bool NotificationData { get; init; }

    /// <summary>
    /// Offer VIRTIO_F_ACCESS_PLATFORM, and refuse drivers that do not take it: for a device behind an IOMMU, whose addresses are translated. The
    /// bit alone translates nothing: that is for the embedder, with <see cref="DmaTarget.Translator"/>.
    /// </summary>
    public bool AccessPlatform { get; init; }

    /// <summary>Offer VIRTIO_F_INDIRECT_DESC if the device does.</summary>
    public bool IndirectDescriptors { get; init; } = true;

    /// <summary>Offer VIRTIO_F_EVENT_IDX if the device does.</summary>
    public bool EventIndex { get; init; } = true;

    /// <summary>Offer VIRTIO_F_RING_PACKED: the driver may choose packed rings.</summary>
    public bool PackedRing { get; init; }

    /// <summary>
    /// Offer VIRTIO_F_IN_ORDER if the device completes in order. Off by default: it is a promise for the life of the driver, and a driver that does
    /// not need it loses nothing without it.
    /// </summary>
    public bool InOrder { get; init; }

    /// <summary>
    /// The registers are in a 64-bit BAR, which may lie anywhere; otherwise in a 32-bit one, which lies below 4 GiB for guests that reach no further.
    /// Shared memory is in a 64-bit BAR either way.
    /// </summary>
    public bool Use64BitBar { get; init; } = true;

    /// <summary>Where the function logs; nothing is logged without it.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }

    /// <summary>Features without which FEATURES_OK is refused.</summary>
    internal ulong RequiredFeatures => TransportFeatures.Version1 | (AccessPlatform ? TransportFeatures.AccessPlatform : 0);

    internal ulong OfferedFeatures(VirtioDevice device)
    {
        ulong withheld = (IndirectDescriptors ? 0 : RingFeatures.IndirectDescriptors) | (EventIndex ? 0 : RingFeatures.EventIndex);
        return (device.OfferedFeatures & ~withheld)
            | RequiredFeatures
            | (PackedRing ? RingFeatures.Packed : 0)
            | (InOrder && device.CompletesInOrder ? RingFeatures.InOrder : 0)
            | (RingReset ? TransportFeatures.RingReset : 0)
            | (NotificationData ? TransportFeatures.NotificationData : 0);
    }
}
