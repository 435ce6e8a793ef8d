using System.Runtime.CompilerServices;
using System.Threading;

namespace Vmm.Virtio.Queues;

/// <content>Taking chains.</content>
/// <remarks>
/// The usual chain has a way of its own: readable buffers, then writable ones, each in the region that was hit last, in the ring or in one
/// table behind a single descriptor. It calls nothing, so that what it needs stays in registers. Anything else, mistakes included, is walked anew by
/// <see cref="PopByAnyWay"/>, which believes nothing that was read before.
/// </remarks>
internal sealed unsafe partial class SplitVirtqueue
{
    private const uint DescriptorKind = DescriptorNext | DescriptorWrite | DescriptorIndirect;

    // The index of the next descriptor is in the upper half of the word with the flags; times 16, it is a place in the table.
    private const int NextShift = 12;
    private const uint NextMask = 0xffff0;

    /// <summary>Without a virtual call, for <see cref="Virtqueue.TryPop"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryPopHere(DescriptorChain chain) => HasAvailable() && PopSingle(chain);

    internal override bool TryPopByAnyWay(DescriptorChain chain) => HasAvailable() && PopByAnyWay(chain);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal override bool HasAvailable() => Dma.Enabled && (_nextAvailable != _knownAvailable || FetchAvailable());

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool FetchAvailable()
    {
        if (IsBroken)
        {
            return false;
        }

        // Acquire: ring entries and descriptors are read after the index. Pairs with the driver's release when it publishes avail.idx.
        ushort available = Volatile.Read(ref *(ushort*)(_available + 2));
        uint more = (ushort)(available - _nextAvailable);
        if (more == 0)
        {
            return false;
        }

        if (more > Size)
        {
            return Break("the available index jumps by more than the queue size");
        }

        _knownAvailable = _nextAvailable + more;
        return true;
    }

    /// <summary>Takes a chain of one buffer, as network packets are, without the registers that a loop needs; others are passed on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool PopSingle(DescriptorChain chain)
    {
        uint head = *(ushort*)(_available + 4 + (2 * (nuint)(_nextAvailable & _mask)));
        if (head > _mask)
        {
            return PopByAnyWay(chain);
        }

        // Each half of a descriptor is loaded once; all checks are of the copy (MEM-3). Whoever this passes a chain on to loads and checks anew.
        nuint place = (nuint)head * DescriptorSize;
        ulong* descriptor = (ulong*)(_descriptors + place);
        ulong address = descriptor[0];
        ulong rest = descriptor[1];
        uint flags = (uint)(rest >> 32);
        ulong length = (uint)rest;
        if ((flags & (DescriptorNext | DescriptorIndirect)) != 0)
        {
            if ((flags & DescriptorIndirect) != 0)
            {
                chain.Identify(head, 1);
                return PopTable(chain, address, (uint)length, flags);
            }

            chain.Identify(head);
            return PopLinked(chain, _descriptors, (nuint)_mask * DescriptorSize, place);
        }

        ref DmaView.Region hit = ref View.Hit;
        ulong offset = address - hit.Start;
        if (!hit.Holds(offset, length))
        {
            return PopByAnyWay(chain);
        }

        chain.Identify(head, 1);
        chain.DescribeSingle(hit.Host + offset, length, (flags & DescriptorWrite) != 0);
        _nextAvailable++;
        return true;
    }

    /// <summary>Takes a chain that is a table behind one descriptor.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool PopTable(DescriptorChain chain, ulong address, uint length, uint flags)
    {
        ref DmaView.Region hit = ref View.Hit;
        ulong offset = address - hit.Start;
        return CanEnterTable(flags, length) && hit.Holds(offset, length)
            ? PopLinked(chain, hit.Host + offset, length - DescriptorSize, 0)
            : PopByAnyWay(chain);
    }

    /// <summary>Takes a chain of descriptors that are linked: readable ones, then writable ones.</summary>
    /// <param name="chain">Filled; what identifies it is known.</param>
    /// <param name="table">The table that the descriptors lie in.</param>
    /// <param name="last">Bytes in it before its last descriptor.</param>
    /// <param name="place">Bytes in it before the first descriptor of the chain.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool PopLinked(DescriptorChain chain, byte* table, nuint last, nuint place)
    {
        ref DmaView.Region hit = ref View.Hit;
        GuestSegment* segment = chain.Segments;
        ulong total = 0;
        uint flags = *(uint*)(table + place + 12);
        while ((flags & DescriptorKind) == DescriptorNext)
        {
            ulong offset = *(ulong*)(table + place) - hit.Start;
            ulong length = *(uint*)(table + place + 8);
            if (!hit.Holds(offset, length))
            {
                return PopByAnyWay(chain);
            }

            segment->Base = hit.Host + offset;
            segment->Length = (nuint)length;
            segment++;
            total += length;
            place = (flags >> NextShift) & NextMask;
            if (place > last || segment == chain.SegmentsEnd)
            {
                return PopByAnyWay(chain);
            }

            flags = *(uint*)(table + place + 12);
        }

        GuestSegment* writable = segment;
        ulong readableLength = total;
        while ((flags & DescriptorKind) == (DescriptorNext | DescriptorWrite))
        {
            ulong offset = *(ulong*)(table + place) - hit.Start;
            ulong length = *(uint*)(table + place + 8);
            if (!hit.Holds(offset, length))
            {
                return PopByAnyWay(chain);
            }

            segment->Base = hit.Host + offset;
            segment->Length = (nuint)length;
            segment++;
            total += length;
            place = (flags >> NextShift) & NextMask;
            if (place > last || segment == chain.SegmentsEnd)
            {
                return PopByAnyWay(chain);
            }

            flags = *(uint*)(table + place + 12);
        }

        // The last one. More descriptors than the table has: it changes while it is walked, and the other way may find that it loops.
        ulong lastOffset = *(ulong*)(table + place) - hit.Start;
        ulong lastLength = *(uint*)(table + place + 8);
        total += lastLength;
        if ((flags & (DescriptorNext | DescriptorIndirect)) != 0 || !hit.Holds(lastOffset, lastLength) || total > MaximumLength
            || chain.CountTo(segment) > last / DescriptorSize)
        {
            return PopByAnyWay(chain);
        }

        segment->Base = hit.Host + lastOffset;
        segment->Length = (nuint)lastLength;
        segment++;
        if ((flags & DescriptorWrite) == 0)
        {
            if (writable != segment - 1)
            {
                return PopByAnyWay(chain);
            }

            writable = segment;
            readableLength = total;
        }

        uint readable = chain.CountTo(writable);
        chain.Describe(readable, chain.CountTo(segment) - readable, readableLength, total - readableLength);
        _nextAvailable++;
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool PopByAnyWay(DescriptorChain chain)
    {
        uint head = *(ushort*)(_available + 4 + (2 * (nuint)(_nextAvailable & _mask)));
        if (head >= Size)
        {
            return Break("the available ring names a descriptor outside the table");
        }

        _nextAvailable++;
        return Walk(chain, head);
    }

    private bool Walk(DescriptorChain chain, uint head)
    {
        uint index = head;
        byte* table = _descriptors;
        uint count = Size;
        uint left = count;
        uint slots = 0;
        GuestSegment* segment = chain.Segments;
        ulong total = 0;
        ulong readableLength = 0;
        uint readable = 0;
        uint direction = 0;
        while (true)
        {
            // Each half of a descriptor is loaded once; all checks are of the copy (MEM-3).
            ulong* descriptor = (ulong*)(table + ((nuint)index * DescriptorSize));
            ulong address = descriptor[0];
            ulong length = descriptor[1];
            uint flagsAndNext = (uint)(length >> 32);
            length = (uint)length;
            if (((flagsAndNext ^ direction) & (DescriptorWrite | DescriptorIndirect)) != 0)
            {
                if ((flagsAndNext & DescriptorIndirect) != 0)
                {
                    table = EnterIndirectTable(address, (uint)length, slots != 0, (flagsAndNext & DescriptorNext) != 0);
                    if (table is null)
                    {
                        return false;
                    }

                    slots = count - left + 1;
                    count = left = (uint)length / DescriptorSize;
                    index = 0;
                    continue;
                }

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

            if ((flagsAndNext & DescriptorNext) == 0)
            {
                break;
            }

            index = flagsAndNext >> 16;
            if (index >= count)
            {
                return Break("a chain leaves its descriptor table");
            }

            if (--left == 0)
            {
                return Break("a chain is longer than its descriptor table: it loops");
            }
        }

        uint pieces = chain.CountTo(segment);
        if (direction == 0)
        {
            readable = pieces;
            readableLength = total;
        }

        chain.Identify(head, slots != 0 ? slots : count - left + 1);
        chain.Describe(readable, pieces - readable, readableLength, total - readableLength);
        return total <= MaximumLength || Break(TooLong);
    }
}
