using Vmm.Virtio.Limits;

namespace Vmm.Virtio.Devices;

/// <summary>How a <see cref="NetDevice"/> is made.</summary>
public sealed record NetDeviceOptions : VirtioDeviceOptions
{
    /// <summary>The address of the card; random if null.</summary>
    public MacAddress? Mac { get; init; }

    /// <summary>MTU to advise, 68 to 65535; 0 for no advice.</summary>
    public ushort Mtu { get; init; }

    /// <summary>
    /// The bytes and packets each way in a time, of all pairs together, as many for receiving as for sending; null for no limit. Bytes are those of
    /// packets without their virtio header. What has to wait stays in the driver's ring, or with the back-end.
    /// </summary>
    public RateLimiterOptions? RateLimiter { get; init; }

    /// <summary>Offer checksum and segmentation offloads.</summary>
    public bool Offloads { get; init; } = true;
}
