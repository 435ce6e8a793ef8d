using System;
using System.Runtime.CompilerServices;
using System.Threading;

namespace Vmm.Virtio.Queues;

/// <content>Taking chains.</content>
/// <remarks>
/// The usual chain has a way of its own: readable buffers, then writable ones, each in the region that was hit last, in the ring before
/// its end or in one table. It calls nothing, so that what it needs stays in registers. Anything else, mistakes included, is walked anew by
/// <see cref="PopByAnyWay"/>, which believes nothing that was read before.
/// </remarks>
internal sealed unsafe partial class PackedVirtqueue
{
    private const uint DescriptorLap = DescriptorAvailable | DescriptorUsed;
    private const uint DescriptorKind = DescriptorLap | DescriptorWrite | DescriptorIndirect;
    private const int FlagsShift = 48;
    private const ulong NextFlag = (ulong)DescriptorNext << FlagsShift;

    /// <summary>Without a virtual call, for <see cref="Virtqueue.TryPop"/>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal bool TryPopHere(DescriptorChain chain) => HasAvailable() && PopSingle(chain);

    internal override bool TryPopByAnyWay(DescriptorChain chain) => HasAvailable() && PopByAnyWay(chain);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal override bool HasAvailable() => Dma.Enabled && !IsBroken && IsNextAvailable();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool IsNextAvailable()
    {
        // Acquire: the rest of the descriptor, those after it and the buffers are read after its flags. Pairs with the driver's release when
        // it makes the first descriptor of a chain available.
        uint flags = Volatile.Read(ref *(ushort*)(_descriptors + ((nuint)_nextAvailable * DescriptorSize) + 14));
        return IsAvailable(flags, _availableWrap);
    }

    /// <summary>AVAIL is the wrap counter of the lap, USED is not (2.8.1).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsAvailable(uint flags, uint wrap) => (flags & DescriptorLap) == LapOf(wrap);

    private static uint LapOf(uint wrap) => wrap != 0 ? DescriptorAvailable : DescriptorUsed;

    /// <summary>Takes a chain of one buffer, as network packets are, without the registers that a loop needs; others are passed on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool PopSingle(DescriptorChain chain)
    {
        // Each half of a descriptor is loaded once; all checks are of the copy (MEM-3).
        ulong* descriptor = (ulong*)(_descriptors + ((nuint)_nextAvailable * DescriptorSize));
        ulong address = descriptor[0];
        ulong rest = descriptor[1];
        uint flags = (uint)(rest >> FlagsShift);
        if ((flags & (DescriptorNext | DescriptorIndirect)) != 0)
        {
            return (flags & DescriptorIndirect) != 0 ? PopTable(chain, address, rest) : PopLinked(chain, descriptor, address, rest);
        }

        ulong length = (uint)rest;
        ref DmaView.Region hit = ref View.Hit;
        ulong offset = address - hit.Start;
        if (!hit.Holds(offset, length) || _taken == Size)
        {
            return PopByAnyWay(chain);
        }

        chain.Identify((ushort)(rest >> 32), 1);
        chain.DescribeSingle(hit.Host + offset, length, (flags & DescriptorWrite) != 0);
        Take(1);
        return true;
    }

    /// <summary>Takes a chain of several descriptors of the ring, none of them behind its end: readable ones, then writable ones.</summary>
    /// <param name="chain">Filled.</param>
    /// <param name="descriptor">The first descriptor.</param>
    /// <param name="address">Lower half of it.</param>
    /// <param name="rest">Upper half of it.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool PopLinked(DescriptorChain chain, ulong* descriptor, ulong address, ulong rest)
    {
        // As many pieces as there is room for, and as the ring has descriptors before its end: a chain that loops comes to the end too.
        ref DmaView.Region hit = ref View.Hit;
        GuestSegment* segment = chain.Segments;
        GuestSegment* end = segment + Math.Min(Size - _nextAvailable, (uint)chain.Capacity);
        uint lap = LapOf(_availableWrap);
        ulong total = 0;
        while (((rest >> FlagsShift) & DescriptorKind) == lap)
        {
            ulong length = (uint)rest;
            address -= hit.Start;
            if (!hit.Holds(address, length))
            {
                return PopByAnyWay(chain);
            }

            segment->Base = hit.Host + address;
            segment->Length = (nuint)length;
            segment++;
            total += length;
            if ((rest & NextFlag) == 0)
            {
                return TakeLinked(chain, rest, segment, segment, total, total);
            }

            if (segment == end)
            {
                return PopByAnyWay(chain);
            }

            descriptor += 2;
            address = descriptor[0];
            rest = descriptor[1];
        }

        lap |= DescriptorWrite;
        GuestSegment* writable = segment;
        ulong readableLength = total;
        while (((rest >> FlagsShift) & DescriptorKind) == lap)
        {
            ulong length = (uint)rest;
            address -= hit.Start;
            if (!hit.Holds(address, length))
            {
                break;
            }

            segment->Base = hit.Host + address;
            segment->Length = (nuint)length;
            segment++;
            total += length;
            if ((rest & NextFlag) == 0)
            {
                return TakeLinked(chain, rest, writable, segment, readableLength, total);
            }

            if (segment == end)
            {
                break;
            }

            descriptor += 2;
            address = descriptor[0];
            rest = descriptor[1];
        }

        return PopByAnyWay(chain);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TakeLinked(DescriptorChain chain, ulong last, GuestSegment* writable, GuestSegment* end, ulong readableLength, ulong total)
    {
        uint readable = chain.CountTo(writable);
        uint pieces = chain.CountTo(end);
        if (_taken + pieces > Size || total > MaximumLength)
        {
            return PopByAnyWay(chain);
        }

        // The buffer id is that of the last descriptor (2.8.6).
        chain.Identify((ushort)(last >> 32), pieces);
        chain.Describe(readable, pieces - readable, readableLength, total - readableLength);
        Take(pieces);
        return true;
    }

    /// <summary>Takes a chain that is a table behind one descriptor, whose entries follow each other with WRITE as their only flag (2.8.7).</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool PopTable(DescriptorChain chain, ulong address, ulong rest)
    {
        uint bytes = (uint)rest;
        ref DmaView.Region hit = ref View.Hit;
        ulong offset = address - hit.Start;
        if (!CanEnterTable((uint)(rest >> FlagsShift), bytes) || !hit.Holds(offset, bytes)
            || bytes / DescriptorSize > (uint)chain.Capacity || _taken == Size)
        {
            return PopByAnyWay(chain);
        }

        chain.Identify((ushort)(rest >> 32), 1);
        ulong* descriptor = (ulong*)(hit.Host + offset);
        ulong* end = (ulong*)((byte*)descriptor + bytes);
        GuestSegment* segment = chain.Segments;
        GuestSegment* writable = null;
        ulong total = 0;
        ulong readableLength = 0;
        do
        {
            address = descriptor[0];
            rest = descriptor[1];
            uint flags = (uint)(rest >> FlagsShift) & (DescriptorWrite | DescriptorIndirect);
            if (flags != 0 && writable is null)
            {
                writable = segment;
                readableLength = total;
            }

            ulong length = (uint)rest;
            address -= hit.Start;
            if (!hit.Holds(address, length) || flags != (writable is null ? 0 : DescriptorWrite))
            {
                return PopByAnyWay(chain);
            }

            segment->Base = hit.Host + address;
            segment->Length = (nuint)length;
            segment++;
            total += length;
            descriptor += 2;
        }
        while (descriptor != end);
        if (total > MaximumLength)
        {
            return PopByAnyWay(chain);
        }

        readableLength = writable is null ? total : readableLength;
        uint readable = chain.CountTo(writable is null ? segment : writable);
        chain.Describe(readable, (bytes / DescriptorSize) - readable, readableLength, total - readableLength);
        Take(1);
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool PopByAnyWay(DescriptorChain chain)
    {
        byte* table = _descriptors;
        uint index = _nextAvailable;
        uint wrap = _availableWrap;
        uint head = 0;
        uint slots = 0;
        uint entries = 0;
        bool inside = false;
        GuestSegment* segment = chain.Segments;
        ulong total = 0;
        ulong readableLength = 0;
        uint readable = 0;
        uint direction = 0;
        bool more;
        do
        {
            // Each half of a descriptor is loaded once; all checks are of the copy (MEM-3).
            ulong* descriptor = (ulong*)(table + ((nuint)index * DescriptorSize));
            ulong address = descriptor[0];
            ulong rest = descriptor[1];
            ulong length = (uint)rest;
            uint flags = (uint)(rest >> 48);
            index++;
            if (inside)
            {
                // Entries of a table follow each other; WRITE is their only flag (2.8.7).
                more = index < entries;
            }
            else
            {
                if (slots != 0 && !IsAvailable(flags, wrap))
                {
                    return Break("a chain continues in a descriptor that is not available");
                }

                // The buffer id is that of the last descriptor (2.8.6).
                head = (ushort)(rest >> 32);
                more = (flags & DescriptorNext) != 0;
                slots++;
                if (index == Size)
                {
                    index = 0;
                    wrap ^= 1;
                }

                if (more && slots == Size)
                {
                    return Break("a chain is longer than the ring: it loops");
                }
            }

            if ((flags & DescriptorIndirect) != 0)
            {
                // Its WRITE flag is ignored (2.8.7).
                table = EnterIndirectTable(address, (uint)length, inside, more || slots > 1);
                if (table is null)
                {
                    return false;
                }

                inside = true;
                entries = (uint)length / DescriptorSize;
                index = 0;
                more = true;
                continue;
            }

            if (((flags ^ direction) & DescriptorWrite) != 0)
            {
                if (direction != 0)
                {
                    return Break("a readable buffer follows a writable one");
                }

                direction = DescriptorWrite;
                readable = chain.CountTo(segment);
                readableLength = total;
            }

            total += length;
            segment = AddBuffer(chain, segment, address, length, total, direction != 0);
            if (segment is null)
            {
                return false;
            }
        }
        while (more);

        if (total > MaximumLength)
        {
            return Break(TooLong);
        }

        // A driver that makes a descriptor available anew before it was used.
        if (_taken + slots > Size)
        {
            return Break("more descriptors are available than the ring has");
        }

        uint pieces = chain.CountTo(segment);
        if (direction == 0)
        {
            readable = pieces;
            readableLength = total;
        }

        chain.Identify(head, slots);
        chain.Describe(readable, pieces - readable, readableLength, total - readableLength);
        Take(slots);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Take(uint slots)
    {
        _taken += slots;
        uint next = _nextAvailable + slots;
        if (next >= Size)
        {
            next -= Size;
            _availableWrap ^= 1;
        }

        _nextAvailable = next;
    }
}
