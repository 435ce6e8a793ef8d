namespace Vmm.Virtio.Devices;

/// <summary>How a <see cref="BalloonDevice"/> is made.</summary>
public sealed record BalloonDeviceOptions : VirtioDeviceOptions
{
    /// <summary>Bytes that the driver is asked for from the start; whole pages of 4 KiB, fewer than 2^32 of them.</summary>
    public ulong Size { get; init; }

    /// <summary>The driver may take pages back by itself when it has no memory left (VIRTIO_BALLOON_F_DEFLATE_ON_OOM).</summary>
    public bool DeflateOnOutOfMemory { get; init; }

    /// <summary>The driver reports pages that it does not use, of which it has the use all the same (VIRTIO_BALLOON_F_PAGE_REPORTING).</summary>
    public bool FreePageReporting { get; init; }
}
