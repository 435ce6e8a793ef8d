using System;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Vmm.Virtio.Queues;

/// <summary>A run of guest bytes in one or more pieces, at most 4 GiB: a part of a <see cref="DescriptorChain"/>.</summary>
/// <remarks>
/// The guest may change the bytes at any time: copy once, then look at the copy (MEM-3). Only what a chain gives as writable may be written.
/// </remarks>
public readonly unsafe ref struct GuestBuffers
{
    // A piece handed out as a span; larger ones come as several.
    private const int MaximumPiece = 1 << 30;

    private readonly GuestSegment* _segments;
    private readonly int _count;
    private readonly nuint _skip;

    internal GuestBuffers(GuestSegment* segments, int count, nuint skip, long length)
    {
        _segments = segments;
        _count = count;
        _skip = skip;
        Length = length;
    }

    /// <summary>Bytes.</summary>
    public long Length { get; }

    /// <summary>True if there are no bytes.</summary>
    public bool IsEmpty => Length == 0;

    /// <summary>Pieces that hold the bytes, the first of them from <see cref="Skip"/> on.</summary>
    internal GuestSegment* Segments => _segments;

    /// <summary>Pieces that hold the bytes, of which the last may be used in part: the most that <see cref="GetPieces"/> fills.</summary>
    public int Count => _count;

    /// <summary>Bytes of the first piece that come before the run, less than the piece has.</summary>
    internal nuint Skip => _skip;

    /// <summary>The bytes from <paramref name="start"/> on.</summary>
    /// <param name="start">0 to <see cref="Length"/>.</param>
    public GuestBuffers Slice(long start) => Slice(start, Length - start);

    /// <summary>A part of the run.</summary>
    /// <param name="start">First byte.</param>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part does not lie inside.</exception>
    public GuestBuffers Slice(long start, long length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)start, (ulong)Length, nameof(start));
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)length, (ulong)(Length - start), nameof(length));
        GuestSegment* segment = _segments;
        int count = _count;
        nuint skip = _skip + (nuint)start;
        while (count > 0 && skip >= segment->Length)
        {
            skip -= segment->Length;
            segment++;
            count--;
        }

        return new GuestBuffers(segment, count, skip, length);
    }

    /// <summary>Copies from the start of the run.</summary>
    /// <param name="destination">Where to.</param>
    /// <returns>Bytes copied: the shorter of the two.</returns>
    public int CopyTo(Span<byte> destination)
    {
        if (FitsFirst(destination.Length))
        {
            ref byte source = ref *(_segments->Base + _skip);
            if (destination.Length == Vector128<byte>.Count)
            {
                // The header of a block request, without the call that a copy of any length is.
                Vector128.LoadUnsafe(ref source).StoreUnsafe(ref MemoryMarshal.GetReference(destination));
            }
            else
            {
                GuestCopy.Copy(MemoryMarshal.CreateReadOnlySpan(ref source, destination.Length), destination);
            }

            return destination.Length;
        }

        GuestBuffers part = Slice(0, Math.Min(Length, destination.Length));
        foreach (Span<byte> piece in part)
        {
            piece.CopyTo(destination);
            destination = destination[piece.Length..];
        }

        return (int)part.Length;
    }

    /// <summary>Gives the host addresses of the bytes, for a system call or another process's queue.</summary>
    /// <param name="pieces">Room; what does not fit is left for the next call, on the part of the run that is left.</param>
    /// <param name="length">Bytes in the pieces that were filled.</param>
    /// <returns>Pieces filled.</returns>
    public int GetPieces(Span<MemoryPiece> pieces, out long length)
    {
        int count = 0;
        long left = Length;
        nuint skip = _skip;
        for (GuestSegment* segment = _segments; left > 0 && count < pieces.Length; segment++)
        {
            if (skip >= segment->Length)
            {
                skip -= segment->Length;
                continue;
            }

            nuint part = (nuint)Math.Min((ulong)(segment->Length - skip), (ulong)left);
            pieces[count++] = new MemoryPiece((nint)(segment->Base + skip), part);
            left -= (long)part;
            skip = 0;
        }

        length = Length - left;
        return count;
    }

    /// <summary>Copies to the start of the run.</summary>
    /// <param name="source">What to write.</param>
    /// <returns>Bytes copied: the shorter of the two.</returns>
    public int CopyFrom(ReadOnlySpan<byte> source)
    {
        if (FitsFirst(source.Length))
        {
            GuestCopy.Copy(source, new Span<byte>(_segments->Base + _skip, source.Length));
            return source.Length;
        }

        GuestBuffers part = Slice(0, Math.Min(Length, source.Length));
        foreach (Span<byte> piece in part)
        {
            source[..piece.Length].CopyTo(piece);
            source = source[piece.Length..];
        }

        return (int)part.Length;
    }

    /// <summary>Sets every byte.</summary>
    /// <param name="value">To what.</param>
    public void Fill(byte value)
    {
        // The usual case: a status.
        if (Length == 1 && _skip < _segments->Length)
        {
            _segments->Base[_skip] = value;
            return;
        }

        foreach (Span<byte> piece in this)
        {
            piece.Fill(value);
        }
    }

    /// <summary>Walks the pieces in order; each is at most 1 GiB and none is empty.</summary>
    public Enumerator GetEnumerator() => new(this);

    // The usual case: a header, a status, a block in one buffer.
    private bool FitsFirst(int length)
    {
        return length > 0 && length <= Length && (nuint)length <= _segments->Length - _skip;
    }

    /// <summary>Walks the pieces of a run.</summary>
    public ref struct Enumerator
    {
        private readonly GuestSegment* _end;
        private GuestSegment* _segment;
        private nuint _offset;
        private long _left;
        private byte* _current;
        private int _length;

        internal Enumerator(GuestBuffers buffers)
        {
            _segment = buffers._segments;
            _end = buffers._segments + buffers._count;
            _offset = buffers._skip;
            _left = buffers.Length;
        }

        /// <summary>The piece.</summary>
        public readonly Span<byte> Current => new(_current, _length);

        /// <summary>Goes to the next piece.</summary>
        /// <returns>False after the last.</returns>
        public bool MoveNext()
        {
            if (_left == 0)
            {
                return false;
            }

            while (_offset >= _segment->Length)
            {
                _offset -= _segment->Length;
                _segment++;
                Debug.Assert(_segment < _end, "the length of a run is that of its pieces");
            }

            nuint available = _segment->Length - _offset;
            _length = (int)Math.Min((ulong)MaximumPiece, Math.Min(available, (ulong)_left));
            _current = _segment->Base + _offset;
            _offset += (nuint)_length;
            _left -= _length;
            return true;
        }
    }
}
