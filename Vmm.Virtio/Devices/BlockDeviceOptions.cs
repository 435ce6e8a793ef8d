using Vmm.Virtio.Limits;

namespace Vmm.Virtio.Devices;

/// <summary>How a <see cref="BlockDevice"/> is made.</summary>
public sealed record BlockDeviceOptions : VirtioDeviceOptions
{
    /// <summary>What GET_ID answers; ASCII, the first 20 bytes count.</summary>
    public string Serial { get; init; } = "";

    /// <summary>
    /// The bytes and requests in a time, of all queues together; null for no limit. Reads, writes and zeroes count bytes, discards none. Who waits for
    /// its turn holds up what comes behind it in its queue, and no stop.
    /// </summary>
    public RateLimiterOptions? RateLimiter { get; init; }

    /// <summary>Request queues, each with a worker of its own: 1 to 256.</summary>
    public int QueueCount { get; init; } = 1;
}
