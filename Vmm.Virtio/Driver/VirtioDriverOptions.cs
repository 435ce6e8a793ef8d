using System;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Driver;

/// <summary>What a driver asks of a device.</summary>
/// <remarks>
/// Of the bits that a device offers, those are taken that are wanted or required and not refused. VIRTIO_F_VERSION_1 is always required, and
/// VIRTIO_F_ACCESS_PLATFORM is wanted unless it is refused, because device addresses serve both kinds of device; so is VIRTIO_F_ORDER_PLATFORM where
/// the barriers of queues order accesses for hardware too, which they do on x86. Bits of the device type are the caller's to know.
/// </remarks>
public sealed record VirtioDriverOptions
{
    /// <summary>Every feature of rings, notifications and queues that the driver speaks.</summary>
    public const ulong TransportFeaturesSpoken =
        RingFeatures.IndirectDescriptors | RingFeatures.EventIndex | RingFeatures.Packed | RingFeatures.InOrder
        | TransportFeatures.NotificationData | TransportFeatures.NotificationConfigurationData | TransportFeatures.RingReset;

    /// <summary>What the device has to be; without it, anything.</summary>
    public VirtioDeviceType? DeviceType { get; init; }

    /// <summary>Features to take if they are offered, beside the required ones.</summary>
    public ulong WantedFeatures { get; init; }

    /// <summary>Features without which the device is refused.</summary>
    public ulong RequiredFeatures { get; init; }

    /// <summary>Features not to take, whoever wants them; none that is required.</summary>
    public ulong RefusedFeatures { get; init; }

    /// <summary>The best way of completion to use; without it, the next best.</summary>
    public CompletionMode Completion { get; init; } = CompletionMode.Messages;

    /// <summary>
    /// Vectors signal eventfds for the caller: <see cref="DriverQueue.CompletionEvent"/>, <see cref="VirtioPciDriver.ConfigurationEvent"/>.
    /// Nothing of the driver's hears them, and its own waits look again and again. Without vectors it is as without this option.
    /// </summary>
    public bool HandsOutEvents { get; init; }

    /// <summary>Most vectors to use.</summary>
    public int MaximumVectors { get; init; } = int.MaxValue;

    /// <summary>How long a device may take to reset or to complete a request.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);
}
