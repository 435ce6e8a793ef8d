using System;
using System.Runtime.CompilerServices;

namespace Vmm.Virtio.Queues;

/// <summary>A descriptor chain with its buffers resolved to host memory: first what the device reads, then what it writes (2.7.4.2).</summary>
/// <remarks>
/// Made once and used again for every request, so that nothing is allocated while requests flow. Valid from a successful
/// <see cref="Virtqueue.TryPop"/> to the end of the scope it happened in. A buffer that crosses two regions of guest RAM appears as several
/// pieces (MEM-2); an empty buffer as none. Framing means nothing: devices look at bytes, not at how descriptors cut them (2.7.4.1).
/// </remarks>
public sealed unsafe class DescriptorChain
{
    /// <summary>More pieces than this in one chain is a broken ring.</summary>
    internal const int MaximumSegments = 65536;

    private readonly int _limit;
    private GuestSegment[] _segments;

    /// <summary>Makes an empty chain.</summary>
    /// <param name="capacity">Buffers it holds without growing, 1 to <paramref name="limit"/>.</param>
    /// <param name="limit">Pieces that a chain may have, 1 to 65536; one with more is a broken ring.</param>
    public DescriptorChain(int capacity = 64, int limit = MaximumSegments)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(limit, MaximumSegments);
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(capacity, limit);
        _limit = limit;
        _segments = GC.AllocateUninitializedArray<GuestSegment>(capacity, pinned: true);
        Segments = (GuestSegment*)Unsafe.AsPointer(ref _segments[0]);
        SegmentsEnd = Segments + capacity;
        Capacity = capacity;
    }

    /// <summary>Identifies the chain to the driver: the index of its first descriptor (split), or its buffer id (packed).</summary>
    public ushort Head { get; internal set; }

    /// <summary>The bytes that the device reads.</summary>
    public GuestBuffers Readable => new(Segments, ReadableCount, 0, ReadableLength);

    /// <summary>The bytes that the device writes.</summary>
    public GuestBuffers Writable => new(Segments + ReadableCount, WritableCount, 0, WritableLength);

    /// <summary>Length of <see cref="Readable"/>.</summary>
    public long ReadableLength { get; internal set; }

    /// <summary>Length of <see cref="Writable"/>.</summary>
    public long WritableLength { get; internal set; }

    internal GuestSegment* Segments { get; private set; }

    internal GuestSegment* SegmentsEnd { get; private set; }

    internal int Capacity { get; private set; }

    /// <summary>Descriptors of the ring (not of an indirect table) that the chain takes.</summary>
    internal uint RingDescriptors { get; set; }

    internal int ReadableCount { get; set; }

    internal int WritableCount { get; set; }

    /// <summary>Makes room for more pieces than there have ever been.</summary>
    /// <param name="used">How many hold something.</param>
    /// <returns>False at the limit.</returns>
    internal bool TryGrow(int used)
    {
        if (Capacity >= _limit)
        {
            return false;
        }

        int capacity = Math.Min(Capacity * 2, _limit);
        GuestSegment[] segments = GC.AllocateUninitializedArray<GuestSegment>(capacity, pinned: true);
        Array.Copy(_segments, segments, used);
        _segments = segments;
        Segments = (GuestSegment*)Unsafe.AsPointer(ref segments[0]);
        SegmentsEnd = Segments + capacity;
        Capacity = capacity;
        return true;
    }
}
