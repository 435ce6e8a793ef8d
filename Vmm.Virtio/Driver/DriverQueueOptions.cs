namespace Vmm.Virtio.Driver;

/// <summary>How a queue is set up.</summary>
/// <param name="Index">Which queue of the device.</param>
public sealed record DriverQueueOptions(int Index)
{
    /// <summary>Most descriptors, 1 to 32768; the device may have fewer, and a split ring takes the next lower power of two.</summary>
    public int MaximumSize { get; init; } = 256;

    /// <summary>Fewest descriptors, at least 1: a device that has fewer is refused.</summary>
    public int MinimumSize { get; init; } = 1;

    /// <summary>
    /// Entries of the indirect table that each request may have, if VIRTIO_F_INDIRECT_DESC is negotiated. Longer requests are direct.
    /// </summary>
    public int IndirectSegments { get; init; } = 16;
}
