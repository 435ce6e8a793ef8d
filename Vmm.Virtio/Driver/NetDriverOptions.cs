namespace Vmm.Virtio.Driver;

/// <summary>How a network device is driven.</summary>
public sealed record NetDriverOptions
{
    /// <summary>Bytes of a buffer with the 12 of the header, 64 to 65,562: the longest frame that is sent.</summary>
    public int BufferSize { get; init; } = 1536;

    /// <summary>Bytes of a buffer for frames that are received, if it is another; without mergeable buffers the longest frame.</summary>
    public int? ReceiveBufferSize { get; init; }

    /// <summary>Most descriptors a queue.</summary>
    public int QueueSize { get; init; } = 64;
}
