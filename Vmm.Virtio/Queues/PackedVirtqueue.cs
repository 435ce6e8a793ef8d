using System;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Threading;
using Vmm.DeviceModel.Interrupts;
using Vmm.DeviceModel.Memory;

namespace Vmm.Virtio.Queues;

/// <summary>The device side of a packed virtqueue (virtio 1.2, 2.8).</summary>
/// <remarks>
/// The driver writes available descriptors and the device used ones into the same ring, each in ring order; a descriptor belongs to the lap
/// that its AVAIL and USED bits tell. Buffer ids are the driver's own and mean nothing here.
/// </remarks>
internal sealed unsafe partial class PackedVirtqueue : Virtqueue
{
    private const uint DescriptorAvailable = 1 << 7;
    private const uint DescriptorUsed = 1 << 15;
    private const int EventLength = 4;
    private const int WrapBit = 15;

    private readonly VirtqueueConfiguration _configuration;
    private readonly bool _eventIndex;

    private byte* _descriptors;
    private byte* _driverEvent;
    private byte* _deviceEvent;

    // Places in the ring with the wrap counter of their lap.
    private uint _nextAvailable;
    private uint _availableWrap = 1;
    private uint _nextUsed;
    private uint _usedWrap = 1;

    // Descriptors that are popped and not used yet.
    private uint _taken;
    private bool _forgotten;

    private PackedVirtqueue(VirtqueueConfiguration configuration, DmaTarget dma, IInterruptVector interrupt)
        : base(configuration, dma, interrupt)
    {
        _configuration = configuration;
        _eventIndex = (Features & RingFeatures.EventIndex) != 0;
        if (configuration.State is { } state)
        {
            _nextAvailable = PlaceOf(state.AvailableIndex);
            _availableWrap = WrapOf(state.AvailableIndex);
            _nextUsed = PlaceOf(state.UsedIndex);
            _usedWrap = WrapOf(state.UsedIndex);
            _taken = Distance(state);
            _signalledUnknown = true;
        }
    }

    public static bool TryCreate(
        VirtqueueConfiguration configuration,
        DmaTarget dma,
        IInterruptVector interrupt,
        [NotNullWhen(true)] out PackedVirtqueue? queue,
        [NotNullWhen(false)] out string? reason)
    {
        queue = null;
        if (configuration.Size is 0 or > MaximumSize)
        {
            reason = $"the size of a packed ring must be from 1 to {MaximumSize}, not {configuration.Size}";
        }
        else if (configuration.Descriptors % 16 != 0)
        {
            reason = $"the descriptor ring must be aligned to 16 bytes, not at 0x{configuration.Descriptors:x}";
        }
        else if (configuration.Driver % 4 != 0)
        {
            reason = $"the driver event suppression must be aligned to 4 bytes, not at 0x{configuration.Driver:x}";
        }
        else if (configuration.Device % 4 != 0)
        {
            reason = $"the device event suppression must be aligned to 4 bytes, not at 0x{configuration.Device:x}";
        }
        else if (configuration.State is { } state && !IsValid(state, configuration.Size))
        {
            reason = "the saved state is not one of a packed ring of this size";
        }
        else
        {
            var made = new PackedVirtqueue(configuration, dma, interrupt);
            using (made.Enter())
            {
                reason = made.BrokenReason;
            }

            queue = reason is null ? made : null;
        }

        return queue is not null;
    }

    internal override bool HasAvailable => Dma.Enabled && !IsBroken && IsNextAvailable();

    public override bool TryPop(DescriptorChain chain)
    {
        return Dma.Enabled && !IsBroken && IsNextAvailable() && Walk(chain);
    }

    public override void UndoPop(DescriptorChain chain)
    {
        if (View.Tracker is not null)
        {
            MarkDirty(chain, chain.WritableLength);
        }

        if (IsBroken)
        {
            return;
        }

        if (_nextAvailable < chain.RingDescriptors)
        {
            _nextAvailable += Size;
            _availableWrap ^= 1;
        }

        _nextAvailable -= chain.RingDescriptors;
        _taken -= chain.RingDescriptors;
    }

    public override void Complete(DescriptorChain chain, uint written)
    {
        Debug.Assert(written <= chain.WritableLength, "a device reports no more than it can have written");
        if (_descriptors is not null)
        {
            byte* descriptor = WriteUsed(chain, written, out ushort flags);
            Publish(descriptor, flags);
            MarkCompleted(chain, written, descriptor);
        }
    }

    public override void CompleteTogether(ReadOnlySpan<DescriptorChain> chains, ReadOnlySpan<uint> written)
    {
        if (_descriptors is null || chains.IsEmpty)
        {
            return;
        }

        // The driver looks at used descriptors in ring order: it sees none of them before it sees the first.
        byte* first = WriteUsed(chains[0], written[0], out ushort firstFlags);
        for (int i = 1; i < chains.Length; i++)
        {
            byte* descriptor = WriteUsed(chains[i], written[i], out ushort flags);
            Publish(descriptor, flags);
            MarkCompleted(chains[i], written[i], descriptor);
        }

        Publish(first, firstFlags);
        MarkCompleted(chains[0], written[0], first);
    }

    public override VirtqueueState Save()
    {
        return new VirtqueueState { AvailableIndex = Mark(_nextAvailable, _availableWrap), UsedIndex = Mark(_nextUsed, _usedWrap) };
    }

    private protected override void Refresh()
    {
        if (View.Refresh() && !_forgotten)
        {
            ResolveRings();
        }
    }

    private protected override void ForgetRing()
    {
        _forgotten = true;
        _descriptors = null;
        _deviceEvent = null;
    }

    private static ushort Mark(uint place, uint wrap) => (ushort)(place | (wrap << WrapBit));

    private static uint PlaceOf(ushort mark) => mark & ((1u << WrapBit) - 1);

    private static uint WrapOf(ushort mark) => (uint)mark >> WrapBit;

    private static bool IsValid(VirtqueueState state, ushort size)
    {
        uint available = PlaceOf(state.AvailableIndex);
        uint used = PlaceOf(state.UsedIndex);
        bool sameLap = WrapOf(state.AvailableIndex) == WrapOf(state.UsedIndex);
        return available < size && used < size && (sameLap ? used <= available : available <= used);
    }

    private static bool IsAvailable(uint flags, uint wrap)
    {
        return ((flags & DescriptorAvailable) != 0) == (wrap != 0) && ((flags & DescriptorUsed) != 0) != (wrap != 0);
    }

    private uint Distance(VirtqueueState state)
    {
        uint laps = WrapOf(state.AvailableIndex) == WrapOf(state.UsedIndex) ? 0u : Size;
        return PlaceOf(state.AvailableIndex) + laps - PlaceOf(state.UsedIndex);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool IsNextAvailable()
    {
        // Acquire: the rest of the descriptor, those after it and the buffers are read after its flags. Pairs with the driver's release when
        // it makes the first descriptor of a chain available.
        uint flags = Volatile.Read(ref *(ushort*)(_descriptors + ((nuint)_nextAvailable * DescriptorSize) + 14));
        return IsAvailable(flags, _availableWrap);
    }

    private void ResolveRings()
    {
        _descriptors = View.Resolve(_configuration.Descriptors, (ulong)Size * DescriptorSize, true);
        _driverEvent = View.Resolve(_configuration.Driver, EventLength, false);
        _deviceEvent = View.Resolve(_configuration.Device, EventLength, true);
        if (_descriptors is null || _driverEvent is null || _deviceEvent is null)
        {
            string area = _descriptors is null ? "descriptor ring" : _driverEvent is null ? "driver event suppression" : "device event suppression";
            _descriptors = null;
            _deviceEvent = null;
            MarkBroken($"the {area} is not in one region of RAM");
        }
    }

    private bool Walk(DescriptorChain chain)
    {
        byte* table = _descriptors;
        uint index = _nextAvailable;
        uint wrap = _availableWrap;
        uint slots = 0;
        uint entries = 0;
        bool inside = false;
        ref DmaView.Region hit = ref View.Hit;
        GuestSegment* segment = chain.Segments;
        GuestSegment* end = chain.SegmentsEnd;
        ulong total = 0;
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
                chain.Head = (ushort)(rest >> 32);
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
                chain.ReadableCount = (int)(segment - chain.Segments);
                chain.ReadableLength = (long)total;
            }

            total += length;

            // A length of 0 wraps to the largest number and takes the other way, which adds nothing.
            ulong offset = address - hit.Start;
            if (offset < hit.Length && length - 1 < hit.Length - offset && segment < end)
            {
                segment->Base = hit.Host + offset;
                segment->Length = (nuint)length;
                segment++;
            }
            else
            {
                segment = AddPieces(chain, segment, address, length, total, direction != 0);
                if (segment is null)
                {
                    return false;
                }

                end = chain.SegmentsEnd;
            }
        }
        while (more);

        int pieces = (int)(segment - chain.Segments);
        if (direction == 0)
        {
            chain.ReadableCount = pieces;
            chain.ReadableLength = (long)total;
        }

        chain.WritableCount = pieces - chain.ReadableCount;
        chain.WritableLength = (long)total - chain.ReadableLength;
        return total <= MaximumLength ? Take(chain, slots) : Break(TooLong);
    }

    private bool Take(DescriptorChain chain, uint slots)
    {
        // A driver that makes a descriptor available anew before it was used.
        if (_taken + slots > Size)
        {
            return Break("more descriptors are available than the ring has");
        }

        chain.RingDescriptors = slots;
        _taken += slots;
        _nextAvailable += slots;
        if (_nextAvailable >= Size)
        {
            _nextAvailable -= Size;
            _availableWrap ^= 1;
        }

        return true;
    }

    /// <summary>Writes a used descriptor except for its flags, and goes past the descriptors of the chain.</summary>
    private byte* WriteUsed(DescriptorChain chain, uint written, out ushort flags)
    {
        byte* descriptor = _descriptors + ((nuint)_nextUsed * DescriptorSize);
        *(uint*)(descriptor + 8) = written;
        *(ushort*)(descriptor + 12) = chain.Head;

        // WRITE says that the length counts (2.8.4).
        flags = (ushort)((_usedWrap != 0 ? DescriptorAvailable | DescriptorUsed : 0) | (written != 0 ? DescriptorWrite : 0));
        uint slots = chain.RingDescriptors;
        _nextUsed += slots;
        if (_nextUsed >= Size)
        {
            _nextUsed -= Size;
            _usedWrap ^= 1;
        }

        _taken -= slots;
        _unsignalled = (uint)Math.Min((ulong)_unsignalled + slots, uint.MaxValue);
        return descriptor;
    }

    private static void Publish(byte* descriptor, ushort flags)
    {
        // Release: buffers, length and id are out before the flags. Pairs with the driver's acquire when it reads the flags.
        Volatile.Write(ref *(ushort*)(descriptor + 14), flags);
    }

    /// <summary>Marks a completed chain's bytes and its used descriptor, where that is tracked.</summary>
    private void MarkCompleted(DescriptorChain chain, uint written, byte* descriptor)
    {
        if (View.Tracker is not null)
        {
            MarkDirty(chain, written);
            View.MarkDirty(descriptor, DescriptorSize);
        }
    }
}
