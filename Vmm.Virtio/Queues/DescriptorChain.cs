using System;
using System.Runtime.CompilerServices;
using Vmm.DeviceModel.Memory;

namespace Vmm.Virtio.Queues;

/// <summary>A descriptor chain with its buffers resolved to host memory: first what the device reads, then what it writes (2.7.4.2).</summary>
/// <remarks>
/// Made once and used again for every request, so that nothing is allocated while requests flow. Valid from a successful
/// <see cref="Virtqueue.TryPop"/> to the end of the scope it happened in; kept (<see cref="Virtqueue.TryKeep"/>), until it is released. A buffer
/// that crosses two regions of guest RAM appears as several pieces (MEM-2); an empty buffer as none. Framing means nothing: devices look at bytes,
/// not at how descriptors cut them (2.7.4.1).
/// </remarks>
public sealed unsafe class DescriptorChain
{
    /// <summary>More pieces than this in one chain is a broken ring.</summary>
    internal const int MaximumSegments = 65536;

    private readonly int _limit;

    // Two numbers in a word each: a walk is as fast as its stores are few.
    private uint _headAndSlots;
    private ulong _counts;
    private GuestSegment[] _segments;
    private GuestMemoryRegion[] _pinned = [];
    private int _pinnedCount;

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
    public ushort Head => (ushort)_headAndSlots;

    /// <summary>The bytes that the device reads.</summary>
    public GuestBuffers Readable => new(Segments, ReadableCount, 0, ReadableLength);

    /// <summary>The bytes that the device writes.</summary>
    public GuestBuffers Writable => new(Segments + ReadableCount, WritableCount, 0, WritableLength);

    /// <summary>Length of <see cref="Readable"/>.</summary>
    public long ReadableLength { get; private set; }

    /// <summary>Length of <see cref="Writable"/>.</summary>
    public long WritableLength { get; private set; }

    /// <summary>An object of the device's own beside the chain, untouched by the ring; stays with the object from request to request.</summary>
    public object? State { get; set; }

    /// <summary>True from <see cref="Virtqueue.TryKeep"/> to its release.</summary>
    public bool IsKept { get; internal set; }

    /// <summary>The next chain in a list of the handler that has it.</summary>
    internal DescriptorChain? Next;

    /// <summary>How far the handler that has it has got: a value of its own.</summary>
    internal int Progress;

    /// <summary>Bytes written, as its completion said.</summary>
    internal uint Written;

    internal GuestSegment* Segments { get; private set; }

    internal GuestSegment* SegmentsEnd { get; private set; }

    internal int Capacity { get; private set; }

    /// <summary>Descriptors of the ring (not of an indirect table) that the chain takes.</summary>
    internal uint RingDescriptors => _headAndSlots > ushort.MaxValue ? _headAndSlots >> 16 : (uint)(ReadableCount + WritableCount);

    internal int ReadableCount => (int)_counts;

    internal int WritableCount => (int)(_counts >> 32);

    /// <summary>Says what it is in the ring.</summary>
    /// <param name="head">The index of its first descriptor (split) or its buffer id (packed), 16 bits.</param>
    /// <param name="slots">Descriptors of the ring that it takes, 1 to 32768.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Identify(uint head, uint slots) => _headAndSlots = head | (slots << 16);

    /// <summary>Says what it is in the ring, where it takes as many descriptors as it has pieces.</summary>
    /// <param name="head">The index of its first descriptor (split) or its buffer id (packed), 16 bits.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Identify(uint head) => _headAndSlots = head;

    /// <summary>Says what its pieces are.</summary>
    /// <param name="readable">Pieces that the device reads, from the first one on.</param>
    /// <param name="writable">Pieces behind them, that the device writes.</param>
    /// <param name="readableLength">Bytes in the former.</param>
    /// <param name="writableLength">Bytes in the latter.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Describe(uint readable, uint writable, ulong readableLength, ulong writableLength)
    {
        _counts = readable | ((ulong)writable << 32);
        ReadableLength = (long)readableLength;
        WritableLength = (long)writableLength;
    }

    /// <summary>Says that it is one piece.</summary>
    /// <param name="start">Its first byte.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="write">The device writes them.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void DescribeSingle(byte* start, ulong length, bool write)
    {
        GuestSegment* segment = Segments;
        segment->Base = start;
        segment->Length = (nuint)length;
        if (write)
        {
            Describe(0, 1, 0, length);
        }
        else
        {
            Describe(1, 0, length, 0);
        }
    }

    /// <summary>How many pieces there are before one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint CountTo(GuestSegment* segment) => (uint)((nuint)((byte*)segment - (byte*)Segments) / (nuint)sizeof(GuestSegment));

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

    /// <summary>Pins every region that the chain lies in, under whatever address.</summary>
    /// <param name="regions">RAM as it was when the chain was popped, or is now.</param>
    /// <returns>False, with nothing pinned, if a piece is not in RAM any more.</returns>
    internal bool TryPin(ReadOnlySpan<GuestMemoryRegion> regions)
    {
        int pieces = ReadableCount + WritableCount;
        for (int i = 0; i < pieces; i++)
        {
            bool found = false;
            foreach (GuestMemoryRegion region in regions)
            {
                // A wrapped difference is larger than any region.
                if ((ulong)(Segments[i].Base - region.Host) < region.Length)
                {
                    found = true;
                    Pin(region);
                }
            }

            if (!found)
            {
                Unpin();
                return false;
            }
        }

        return true;
    }

    /// <summary>Lets go of the regions. From any thread, once.</summary>
    internal void Unpin()
    {
        for (int i = 0; i < _pinnedCount; i++)
        {
            _pinned[i].Unpin();
            _pinned[i] = null!;
        }

        _pinnedCount = 0;
    }

    /// <summary>Marks all that may have been written under every guest address that it has, without the queue (MEM-5).</summary>
    internal void MarkWritable(IDirtyTracker tracker)
    {
        foreach (GuestMemoryRegion region in _pinned.AsSpan(0, _pinnedCount))
        {
            for (GuestSegment* piece = Segments + ReadableCount; piece < Segments + ReadableCount + WritableCount; piece++)
            {
                ulong offset = (ulong)(piece->Base - region.Host);
                if (offset < region.Length)
                {
                    tracker.MarkDirty(region.Address + offset, Math.Min(piece->Length, region.Length - offset));
                }
            }
        }
    }

    private void Pin(GuestMemoryRegion region)
    {
        if (_pinned.AsSpan(0, _pinnedCount).Contains(region))
        {
            return;
        }

        if (_pinnedCount == _pinned.Length)
        {
            Array.Resize(ref _pinned, Math.Max(2, _pinned.Length * 2));
        }

        region.Pin();
        _pinned[_pinnedCount++] = region;
    }
}
