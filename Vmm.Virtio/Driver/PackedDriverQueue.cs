using System;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Threading;
using Vmm.Pci.Access;

namespace Vmm.Virtio.Driver;

/// <summary>The driver's side of a packed virtqueue (virtio 1.2, 2.8): one ring of descriptors, which the device overwrites with used ones.</summary>
/// <remarks>A token is the buffer id of its chain. Places in the ring go with the wrap counter of their lap.</remarks>
internal sealed class PackedDriverQueue : DriverQueue
{
    private const ushort Available = 1 << 7;
    private const ushort Used = 1 << 15;
    private const uint EventEnable = 0;
    private const uint EventDisable = 1;
    private const uint EventDescriptor = 2;
    private const int WrapBit = 15;

    private readonly ushort[] _freeIds;
    private readonly int _driverEvent;
    private readonly int _deviceEvent;
    private int _freeIdCount;
    private int _nextAvailable;
    private int _nextUsed;
    private bool _availableWrap = true;
    private bool _usedWrap = true;

    // Descriptors made available since the device's wish was looked at last.
    private long _unnotified;

    public PackedDriverQueue(VirtioPciDriver driver, DriverQueueOptions options, int size, IDmaBuffer ring, IDmaBuffer? tables)
        : base(driver, options, size, ring, tables)
    {
        _driverEvent = size * DescriptorSize;
        _deviceEvent = _driverEvent + 4;
        _freeIds = new ushort[size];
        for (_freeIdCount = 0; _freeIdCount < size; _freeIdCount++)
        {
            _freeIds[_freeIdCount] = (ushort)(size - 1 - _freeIdCount);
        }

        AskForSilence();
    }

    internal override ulong DriverArea => Ring.Iova + (ulong)_driverEvent;

    internal override ulong DeviceArea => Ring.Iova + (ulong)_deviceEvent;

    internal override ushort NotificationPlace => Mark(_nextAvailable, _availableWrap);

    private protected override int OrderOfNextAvailable => _nextAvailable;

    private protected override int OrderOfNextUsed => _nextUsed;

    public static int RingLength(int size) => (size * DescriptorSize) + 8;

    private protected override int TakeToken() => _freeIds[--_freeIdCount];

    private protected override void Publish(int token, ReadOnlySpan<DriverSegment> segments, ushort flags)
    {
        Span<byte> ring = Ring.Span;
        int head = _nextAvailable;
        ushort headFlags = 0;
        for (int i = 0; i < segments.Length; i++)
        {
            Span<byte> descriptor = ring.Slice(_nextAvailable * DescriptorSize, DescriptorSize);
            bool last = i == segments.Length - 1;
            ushort own = (ushort)(
                flags | (last ? 0 : DescriptorNext) | (segments[i].DeviceWrites ? DescriptorWrite : 0) | (_availableWrap ? Available : Used));
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor, segments[i].Iova);
            BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], segments[i].Length);
            BinaryPrimitives.WriteUInt16LittleEndian(descriptor[12..], (ushort)token);
            if (i == 0)
            {
                headFlags = own;
            }
            else
            {
                BinaryPrimitives.WriteUInt16LittleEndian(descriptor[14..], own);
            }

            Advance(ref _nextAvailable, ref _availableWrap, 1);
        }

        _unnotified += segments.Length;

        // Release: the rest of the chain, tables and buffers are out before the flags of its first descriptor. Pairs with the device's acquire
        // when it reads those.
        Volatile.Write(ref Flags(ring, head), headFlags);
    }

    private protected override bool TryReadUsed(out uint id, out uint written)
    {
        (id, written) = (0, 0);
        Span<byte> ring = Ring.Span;
        if (!IsUsed(ring, out ushort flags))
        {
            return false;
        }

        ReadOnlySpan<byte> descriptor = ring.Slice(_nextUsed * DescriptorSize, DescriptorSize);
        id = BinaryPrimitives.ReadUInt16LittleEndian(descriptor[12..]);

        // Without WRITE the length means nothing (2.8.4).
        written = (flags & DescriptorWrite) != 0 ? BinaryPrimitives.ReadUInt32LittleEndian(descriptor[8..]) : 0;
        return true;
    }

    private protected override bool HasUsed() => IsUsed(Ring.Span, out _);

    // The batch ends with a request that is outstanding, and so does the way through the requests in order.
    private protected override bool IsCovered() => true;

    private protected override void Release(int token, int slots)
    {
        _freeIds[_freeIdCount++] = (ushort)token;
        Advance(ref _nextUsed, ref _usedWrap, slots);
    }

    private protected override bool DeviceWantsNotification()
    {
        uint wish = Volatile.Read(ref Event(_deviceEvent));
        long added = _unnotified;
        _unnotified = 0;
        uint flags = (wish >> 16) & 3;
        if (flags != EventDescriptor || !EventIndex)
        {
            return flags != EventDisable;
        }

        long wanted = wish & ((1u << WrapBit) - 1);
        if ((wish >> WrapBit & 1) != 0 != _availableWrap)
        {
            wanted -= Size;
        }

        // How many descriptors were made available after the wanted one; negative if it is still to come.
        long after = _nextAvailable - wanted - 1;
        return after >= 0 && after < added;
    }

    private protected override void AskForInterrupt()
    {
        // Place and flags are one aligned word, so that the device never sees a new one beside an old one.
        Volatile.Write(ref Event(_driverEvent), EventIndex ? Mark(_nextUsed, _usedWrap) | (EventDescriptor << 16) : EventEnable << 16);
    }

    private protected override void AskForSilence() => Volatile.Write(ref Event(_driverEvent), EventDisable << 16);

    private protected override void WriteTableEntry(Span<byte> place, in DriverSegment segment, int index, bool last)
    {
        // Entries follow each other, and WRITE is their only flag (2.8.7).
        BinaryPrimitives.WriteUInt64LittleEndian(place, segment.Iova);
        BinaryPrimitives.WriteUInt64LittleEndian(place[8..], segment.Length | ((segment.DeviceWrites ? (ulong)DescriptorWrite : 0) << 48));
    }

    private static ushort Mark(int place, bool wrap) => (ushort)(place | (wrap ? 1 << WrapBit : 0));

    private static ref ushort Flags(Span<byte> ring, int place) => ref MemoryMarshal.AsRef<ushort>(ring.Slice((place * DescriptorSize) + 14, 2));

    private bool IsUsed(Span<byte> ring, out ushort flags)
    {
        // Acquire: id, length and buffers are read after the flags. Pairs with the device's release when it publishes a used descriptor.
        flags = Volatile.Read(ref Flags(ring, _nextUsed));
        return (flags & Used) != 0 == _usedWrap && (flags & Available) != 0 == _usedWrap;
    }

    private ref uint Event(int offset) => ref MemoryMarshal.AsRef<uint>(Ring.Span.Slice(offset, 4));

    private void Advance(ref int place, ref bool wrap, int slots)
    {
        place += slots;
        if (place >= Size)
        {
            place -= Size;
            wrap = !wrap;
        }
    }
}
