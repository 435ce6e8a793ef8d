using System;
using System.Runtime.CompilerServices;

namespace Vmm.Virtio.Queues;

/// <summary>Several runs of guest bytes, and host bytes after them, as one: a packet that lies in several chains.</summary>
/// <remarks>Made once and used again; valid as long as what was added to it.</remarks>
internal sealed unsafe class SegmentList
{
    private readonly GuestSegment[] _segments;
    private readonly GuestSegment* _start;
    private int _count;
    private long _length;

    public SegmentList(int capacity)
    {
        _segments = GC.AllocateUninitializedArray<GuestSegment>(capacity, pinned: true);
        _start = (GuestSegment*)Unsafe.AsPointer(ref _segments[0]);
    }

    public GuestBuffers Buffers => new(_start, _count, 0, _length);

    /// <summary>Pieces.</summary>
    public int Count => _count;

    /// <summary>Bytes.</summary>
    public long Length => _length;

    /// <summary>Some pieces of it, which have so many bytes.</summary>
    public GuestBuffers Part(int start, int count, long length) => new(_start + start, count, 0, length);

    public void Clear() => Trim(0, 0);

    /// <summary>Keeps the first pieces, which have so many bytes.</summary>
    public void Trim(int count, long length)
    {
        _count = count;
        _length = length;
    }

    /// <summary>Adds a run.</summary>
    /// <returns>False, with nothing added, if there is no room for its pieces.</returns>
    public bool TryAdd(GuestBuffers buffers)
    {
        if (buffers.Count > _segments.Length - _count)
        {
            return false;
        }

        GuestSegment* segment = buffers.Segments;
        nuint skip = buffers.Skip;
        for (nuint left = (nuint)buffers.Length; left > 0; segment++)
        {
            nuint length = Math.Min(segment->Length - skip, left);
            Append(segment->Base + skip, length);
            left -= length;
            skip = 0;
        }

        return true;
    }

    /// <summary>Adds the start of an array that was allocated pinned.</summary>
    public bool TryAddPinned(byte[] array, int length) => TryAddPinned(array, 0, length);

    /// <summary>Adds a part of an array that was allocated pinned.</summary>
    public bool TryAddPinned(byte[] array, int start, int length)
    {
        if (_count == _segments.Length)
        {
            return false;
        }

        Append((byte*)Unsafe.AsPointer(ref array[start]), (nuint)length);
        return true;
    }

    private void Append(byte* start, nuint length)
    {
        _segments[_count].Base = start;
        _segments[_count].Length = length;
        _count++;
        _length += (long)length;
    }
}
