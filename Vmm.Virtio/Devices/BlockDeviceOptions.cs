namespace Vmm.Virtio.Devices;

/// <summary>How a <see cref="BlockDevice"/> is made.</summary>
public sealed record BlockDeviceOptions : VirtioDeviceOptions
{
    /// <summary>What GET_ID answers; ASCII, the first 20 bytes count.</summary>
    public string Serial { get; init; } = "";

    /// <summary>Request queues, each with a worker of its own: 1 to 256.</summary>
    public int QueueCount { get; init; } = 1;
}
