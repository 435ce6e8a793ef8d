using System;

namespace Vmm.Virtio.Queues;

/// <summary>Packets in guest memory, or room for some, in order: what a network card hands to its back-end at once (virtio 1.2, 5.1.6).</summary>
/// <remarks>A device's own, made once and used again. Valid while a back-end is called with it; the guest may change the bytes at any time.</remarks>
public sealed class PacketBatch
{
    /// <summary>Pieces that a packet may have: what one readv or writev takes.</summary>
    internal const int MaximumPieces = 1024;

    private readonly SegmentList _pieces;
    private readonly (int Start, int Count, long Length)[] _packets;
    private int _start;
    private long _before;

    /// <summary>Makes an empty batch.</summary>
    /// <param name="packets">Packets that it holds.</param>
    /// <param name="pieces">Pieces that they may have together, at least <see cref="MaximumPieces"/>.</param>
    internal PacketBatch(int packets, int pieces)
    {
        _packets = new (int, int, long)[packets];
        _pieces = new SegmentList(pieces);
    }

    /// <summary>Packets.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of all of them.</summary>
    public long Length => _before;

    /// <summary>A packet: its bytes with the header, or the room for one. Its pieces are used whole.</summary>
    /// <param name="index">0 to <see cref="Count"/> - 1.</param>
    public GuestBuffers this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Count, nameof(index));
            (int start, int count, long length) = _packets[index];
            return _pieces.Part(start, count, length);
        }
    }

    /// <summary>Holds nothing any more.</summary>
    internal void Clear()
    {
        _pieces.Clear();
        (Count, _start, _before) = (0, 0, 0);
    }

    /// <summary>Adds a run to the packet that is being made.</summary>
    /// <returns>False if there is no place for its pieces.</returns>
    internal bool TryAppend(GuestBuffers buffers) => buffers.Count <= Left && _pieces.TryAdd(buffers);

    /// <summary>Adds a part of an array that was allocated pinned to the packet that is being made.</summary>
    /// <returns>False if there is no place for another piece.</returns>
    internal bool TryAppendPinned(byte[] array, int start, int length) => Left > 0 && _pieces.TryAddPinned(array, start, length);

    /// <summary>The packet that is being made is whole.</summary>
    internal void Finish()
    {
        _packets[Count++] = (_start, _pieces.Count - _start, _pieces.Length - _before);
        (_start, _before) = (_pieces.Count, _pieces.Length);
    }

    /// <summary>Moves packets that were received into the first rooms, where some rooms between were left empty.</summary>
    /// <param name="lengths">Length of the packet in each room, 0 or less where there is none; then the lengths of the packets alone.</param>
    /// <returns>Packets.</returns>
    internal int CloseGaps(Span<int> lengths)
    {
        int packets = 0;
        for (int i = 0; i < lengths.Length; i++)
        {
            int length = lengths[i];
            if (length <= 0)
            {
                continue;
            }

            if (i != packets)
            {
                GuestBuffers room = this[packets];
                foreach (Span<byte> piece in this[i].Slice(0, Math.Min(length, this[i].Length)))
                {
                    room = room.Slice(room.CopyFrom(piece));
                }
            }

            lengths[packets++] = length;
        }

        return packets;
    }

    /// <summary>Forgets the packet that is being made.</summary>
    internal void Abandon() => _pieces.Trim(_start, _before);

    private int Left => MaximumPieces - (_pieces.Count - _start);
}
