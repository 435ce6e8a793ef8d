using System;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Threading;
using Vmm.Pci.Access;

namespace Vmm.Virtio.Driver;

/// <summary>
/// The driver's side of a split virtqueue (virtio 1.2, 2.7): a table of descriptors, a ring of available and a ring of used chains.
/// </summary>
/// <remarks>
/// A token is the first descriptor of its chain. Free descriptors are a list in memory of our own; with VIRTIO_F_IN_ORDER they are taken and
/// come back in the order of the table (2.7.9), and the list is a place and a count.
/// </remarks>
internal sealed class SplitDriverQueue : DriverQueue
{
    private const ushort NoInterrupt = 1;
    private const ushort NoNotify = 1;
    private const int FarBehind = 0x4000;

    private readonly ushort[] _next;
    private readonly int _mask;
    private readonly int _available;
    private readonly int _used;
    private int _freeHead;
    private ushort _nextAvailable;
    private ushort _notifiedAvailable;
    private ushort _nextUsed;
    private ushort _usedEvent;

    public SplitDriverQueue(VirtioPciDriver driver, DriverQueueOptions options, int size, IDmaBuffer ring, IDmaBuffer? tables)
        : base(driver, options, size, ring, tables)
    {
        _mask = size - 1;
        _available = size * DescriptorSize;
        _used = UsedOffset(size);
        _next = new ushort[size];
        for (int i = 0; i < size; i++)
        {
            _next[i] = (ushort)((i + 1) & _mask);
        }

        AskForSilence();
    }

    internal override ulong DriverArea => Ring.Iova + (ulong)_available;

    internal override ulong DeviceArea => Ring.Iova + (ulong)_used;

    internal override ushort NotificationPlace => _nextAvailable;

    private protected override int OrderOfNextAvailable => _nextAvailable & _mask;

    private protected override int OrderOfNextUsed => _nextUsed & _mask;

    public static int RingLength(int size) => UsedOffset(size) + 6 + (size * 8);

    private protected override int TakeToken() => _freeHead;

    private protected override void Publish(int token, ReadOnlySpan<DriverSegment> segments, ushort flags)
    {
        Span<byte> ring = Ring.Span;
        int at = token;
        for (int i = 0; i < segments.Length; i++)
        {
            bool last = i == segments.Length - 1;
            ushort next = _next[at];
            WriteDescriptor(
                ring.Slice(at * DescriptorSize, DescriptorSize), segments[i], (ushort)(flags | (last ? 0 : DescriptorNext)), last ? (ushort)0 : next);
            at = next;
        }

        _freeHead = at;
        BinaryPrimitives.WriteUInt16LittleEndian(ring[(_available + 4 + (2 * (_nextAvailable & _mask)))..], (ushort)token);
        _nextAvailable++;

        // Release: descriptors, tables, buffers and the ring's entry are out before the index. Pairs with the device's acquire when it reads
        // avail.idx.
        Volatile.Write(ref Word(ring, _available + 2), _nextAvailable);
    }

    private protected override bool TryReadUsed(out uint id, out uint written)
    {
        if (!HasUsed())
        {
            (id, written) = (0, 0);
            return false;
        }

        ulong element = BinaryPrimitives.ReadUInt64LittleEndian(Ring.Span[(_used + 4 + (8 * (_nextUsed & _mask)))..]);
        (id, written) = ((uint)element, (uint)(element >> 32));
        return true;
    }

    // Acquire: used elements and buffers are read after the index. Pairs with the device's release when it publishes used.idx.
    private protected override bool HasUsed() => Volatile.Read(ref Word(Ring.Span, _used + 2)) != _nextUsed;

    private protected override bool IsCovered() => HasUsed();

    private protected override void Release(int token, int slots)
    {
        if (!InOrder)
        {
            int last = token;
            for (int i = 1; i < slots; i++)
            {
                last = _next[last];
            }

            _next[last] = (ushort)_freeHead;
            _freeHead = token;
        }

        _nextUsed++;

        // An event that is never passed again would come round once in 65,536 completions.
        if (EventIndex && (ushort)(_nextUsed - _usedEvent) >= FarBehind)
        {
            AskForSilence();
        }
    }

    private protected override bool DeviceWantsNotification()
    {
        Span<byte> ring = Ring.Span;
        ushort added = (ushort)(_nextAvailable - _notifiedAvailable);
        _notifiedAvailable = _nextAvailable;
        if (!EventIndex)
        {
            return (Volatile.Read(ref Word(ring, _used)) & NoNotify) == 0;
        }

        ushort wanted = Volatile.Read(ref Word(ring, _used + 4 + (8 * Size)));
        return (ushort)(_nextAvailable - wanted - 1) < added;
    }

    private protected override void AskForInterrupt()
    {
        if (EventIndex)
        {
            WriteUsedEvent(_nextUsed);
        }
        else
        {
            Volatile.Write(ref Word(Ring.Span, _available), 0);
        }
    }

    private protected override void AskForSilence()
    {
        if (EventIndex)
        {
            // Just passed: it is the last that the device will pass again.
            WriteUsedEvent((ushort)(_nextUsed - 1));
        }
        else
        {
            Volatile.Write(ref Word(Ring.Span, _available), NoInterrupt);
        }
    }

    private protected override void WriteTableEntry(Span<byte> place, in DriverSegment segment, int index, bool last)
    {
        // Linked, unlike those of a packed ring (2.7.5.3).
        WriteDescriptor(place, segment, (ushort)(last ? 0 : DescriptorNext), (ushort)(last ? 0 : index + 1));
    }

    private static int UsedOffset(int size) => ((size * DescriptorSize) + 6 + (size * 2) + 3) & ~3;

    private static ref ushort Word(Span<byte> ring, int offset) => ref MemoryMarshal.AsRef<ushort>(ring.Slice(offset, 2));

    private static void WriteDescriptor(Span<byte> place, in DriverSegment segment, ushort flags, ushort next)
    {
        flags |= segment.DeviceWrites ? DescriptorWrite : (ushort)0;
        BinaryPrimitives.WriteUInt64LittleEndian(place, segment.Iova);
        BinaryPrimitives.WriteUInt64LittleEndian(place[8..], segment.Length | ((ulong)flags << 32) | ((ulong)next << 48));
    }

    private void WriteUsedEvent(ushort index)
    {
        _usedEvent = index;
        Volatile.Write(ref Word(Ring.Span, _available + 4 + (2 * Size)), index);
    }
}
