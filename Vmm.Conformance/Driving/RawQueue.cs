using System;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Threading;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;

namespace Vmm.Conformance.Driving;

/// <summary>A split virtqueue as a driver lays it out (virtio 1.2, 2.7), open to what no sane driver does.</summary>
/// <remarks>Belongs to the thread that runs the check. One page each for descriptors, available ring, used ring and data.</remarks>
public sealed class RawQueue
{
    private const int Page = 4096;
    private const int MaximumSize = Page / 16;

    private readonly CheckContext _context;
    private readonly IDmaBuffer _memory;
    private int _nextDescriptor;

    internal RawQueue(CheckContext context, int index, int size, ulong notifyOffset)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, MaximumSize);
        (_context, Index, Size, NotifyOffset) = (context, index, size, notifyOffset);
        _memory = context.Access.MapBuffer(4 * Page);
    }

    /// <summary>Which queue of the device it is.</summary>
    public int Index { get; }

    /// <summary>Descriptors.</summary>
    public int Size { get; }

    /// <summary>Address of the descriptor area.</summary>
    public ulong Descriptors => _memory.Iova;

    /// <summary>Address of the available ring.</summary>
    public ulong Available => _memory.Iova + Page;

    /// <summary>Address of the used ring.</summary>
    public ulong Used => _memory.Iova + (2 * Page);

    /// <summary>Address of the page for data.</summary>
    public ulong DataAddress => _memory.Iova + (3 * Page);

    /// <summary>The page for data.</summary>
    public Span<byte> Data => _memory.Span.Slice(3 * Page, Page);

    /// <summary>The available index that the next chain makes.</summary>
    public ushort NextAvailable { get; private set; }

    /// <summary>The used index.</summary>
    public ushort UsedIndex
    {
        get
        {
            ushort index = Volatile.Read(ref Word((2 * Page) + 2));
            if (index != 0)
            {
                _context.NoteUsed(Index);
            }

            return index;
        }
    }

    /// <summary>Offset of the queue's address in the notification structure.</summary>
    public ulong NotifyOffset { get; }

    /// <summary>Writes a descriptor.</summary>
    /// <param name="index">Which.</param>
    /// <param name="address">Address of the buffer.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="flags">1 for NEXT, 2 for WRITE, 4 for INDIRECT.</param>
    /// <param name="next">The descriptor after it.</param>
    public void SetDescriptor(int index, ulong address, uint length, ushort flags, ushort next)
    {
        Span<byte> descriptor = _memory.Span.Slice(index * 16, 16);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor, address);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], length);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[12..], flags);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[14..], next);
    }

    /// <summary>Makes a chain available, without telling the device.</summary>
    /// <param name="segments">What the device reads, then what it writes; at most <see cref="Size"/> pieces are outstanding at a time.</param>
    public void Submit(params ReadOnlySpan<DriverSegment> segments)
    {
        int first = _nextDescriptor;
        for (int i = 0; i < segments.Length; i++)
        {
            bool last = i == segments.Length - 1;
            int next = (_nextDescriptor + 1) % Size;
            SetDescriptor(
                _nextDescriptor, segments[i].Iova, segments[i].Length, (ushort)((last ? 0 : 1) | (segments[i].DeviceWrites ? 2 : 0)),
                last ? (ushort)0 : (ushort)next);
            _nextDescriptor = next;
        }

        Publish((ushort)first);
    }

    /// <summary>Puts the head of a chain into the available ring.</summary>
    /// <param name="head">Any number.</param>
    public void Publish(ushort head)
    {
        Word(Page + 4 + (2 * (NextAvailable % Size))) = head;
        SetAvailableIndex((ushort)(NextAvailable + 1));
    }

    /// <summary>Sets the available index, also to what it must not be.</summary>
    /// <param name="index">The index.</param>
    public void SetAvailableIndex(ushort index)
    {
        NextAvailable = index;
        Volatile.Write(ref Word(Page + 2), index);
    }

    /// <summary>Sets the flags of the available ring.</summary>
    /// <param name="flags">1 for no interrupts.</param>
    public void SetAvailableFlags(ushort flags) => Volatile.Write(ref Word(Page), flags);

    /// <summary>An element of the used ring.</summary>
    /// <param name="index">Used index before it.</param>
    public (uint Id, uint Length) GetUsed(ushort index)
    {
        Span<byte> element = _memory.Span.Slice((2 * Page) + 4 + (8 * (index % Size)), 8);
        return (BinaryPrimitives.ReadUInt32LittleEndian(element), BinaryPrimitives.ReadUInt32LittleEndian(element[4..]));
    }

    private ref ushort Word(int offset) => ref MemoryMarshal.AsRef<ushort>(_memory.Span.Slice(offset, 2));
}
