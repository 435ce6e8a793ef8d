namespace Vmm.Benchmarks.Virtio;

/// <summary>The form of a measured ring, and of the chains that fill it.</summary>
/// <param name="DescriptorsPerChain">1: a buffer that the device reads; 3: a block request, header, data and status.</param>
/// <param name="DataLength">Bytes of the data buffer.</param>
internal sealed record RingShape(int DescriptorsPerChain, int DataLength = 4096)
{
    /// <summary>Descriptors of any ring measured here.</summary>
    public const int Size = 256;

    /// <summary>Each chain is a table behind one descriptor of the ring.</summary>
    public bool IsIndirect { get; init; }

    /// <summary>VIRTIO_F_EVENT_IDX.</summary>
    public bool HasEventIndex { get; init; }

    /// <summary>VIRTIO_F_RING_PACKED.</summary>
    public bool IsPacked { get; init; }

    /// <summary>Regions of guest memory; all that is used lies in the first.</summary>
    public int Regions { get; init; } = 1;

    /// <summary>Chains that a full ring has.</summary>
    public int Chains => IsIndirect ? Size : Size / DescriptorsPerChain;
}
