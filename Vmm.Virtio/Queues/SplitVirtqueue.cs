using System;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Threading;
using Vmm.DeviceModel.Interrupts;
using Vmm.DeviceModel.Memory;

namespace Vmm.Virtio.Queues;

/// <summary>The device side of a split virtqueue (virtio 1.2, 2.7).</summary>
internal sealed unsafe class SplitVirtqueue : Virtqueue
{
    private const ushort AvailableNoInterrupt = 1;
    private const ushort UsedNoNotify = 1;

    private readonly VirtqueueConfiguration _configuration;
    private readonly uint _mask;
    private readonly bool _eventIndex;

    private byte* _descriptors;
    private byte* _available;
    private byte* _used;

    private ushort _nextAvailable;
    private ushort _knownAvailable;
    private ushort _nextUsed;
    private ushort _signalledUsed;
    private bool _signalledUnknown;
    private bool _forgotten;

    private SplitVirtqueue(VirtqueueConfiguration configuration, DmaTarget dma, IInterruptVector interrupt)
        : base(configuration, dma, interrupt)
    {
        _configuration = configuration;
        _mask = Size - 1u;
        _eventIndex = (Features & RingFeatures.EventIndex) != 0;
        if (configuration.State is { } state)
        {
            _nextAvailable = _knownAvailable = state.AvailableIndex;
            _nextUsed = _signalledUsed = state.UsedIndex;
            _signalledUnknown = true;
        }
    }

    private ulong AvailableLength => 6 + (2UL * Size);

    private ulong UsedLength => 6 + (8UL * Size);

    public static bool TryCreate(
        VirtqueueConfiguration configuration,
        DmaTarget dma,
        IInterruptVector interrupt,
        [NotNullWhen(true)] out SplitVirtqueue? queue,
        [NotNullWhen(false)] out string? reason)
    {
        queue = null;
        if (configuration.Size is 0 or > MaximumSize || (configuration.Size & (configuration.Size - 1)) != 0)
        {
            reason = $"the size of a split ring must be a power of two from 1 to {MaximumSize}, not {configuration.Size}";
        }
        else if (configuration.Descriptors % 16 != 0)
        {
            reason = $"the descriptor table must be aligned to 16 bytes, not at 0x{configuration.Descriptors:x}";
        }
        else if (configuration.Driver % 2 != 0)
        {
            reason = $"the available ring must be aligned to 2 bytes, not at 0x{configuration.Driver:x}";
        }
        else if (configuration.Device % 4 != 0)
        {
            reason = $"the used ring must be aligned to 4 bytes, not at 0x{configuration.Device:x}";
        }
        else
        {
            var made = new SplitVirtqueue(configuration, dma, interrupt);
            using (made.Enter())
            {
                reason = made.BrokenReason;
            }

            queue = reason is null ? made : null;
        }

        return queue is not null;
    }

    internal override bool HasAvailable => Dma.Enabled && (_nextAvailable != _knownAvailable || FetchAvailable());

    public override bool TryPop(DescriptorChain chain)
    {
        if (!Dma.Enabled || (_nextAvailable == _knownAvailable && !FetchAvailable()))
        {
            return false;
        }

        uint head = *(ushort*)(_available + 4 + (2 * (_nextAvailable & _mask)));
        if (head >= Size)
        {
            return Break("the available ring names a descriptor outside the table");
        }

        _nextAvailable++;
        chain.Head = (ushort)head;
        return Walk(chain, head);
    }

    public override void UndoPop(DescriptorChain chain)
    {
        if (View.Tracker is not null)
        {
            MarkDirty(chain, chain.WritableLength);
        }

        if (!IsBroken)
        {
            _nextAvailable--;
        }
    }

    public override void Complete(DescriptorChain chain, uint written)
    {
        Debug.Assert(written <= chain.WritableLength, "a device reports no more than it can have written");
        if (_used is not null)
        {
            WriteUsed(chain, written);
            PublishUsed();
            if (View.Tracker is not null)
            {
                MarkCompleted(chain, written, _nextUsed - 1u);
            }
        }
    }

    public override void CompleteTogether(ReadOnlySpan<DescriptorChain> chains, ReadOnlySpan<uint> written)
    {
        if (_used is null)
        {
            return;
        }

        for (int i = 0; i < chains.Length; i++)
        {
            WriteUsed(chains[i], written[i]);
        }

        PublishUsed();
        if (View.Tracker is not null)
        {
            for (int i = 0; i < chains.Length; i++)
            {
                MarkCompleted(chains[i], written[i], (uint)(_nextUsed - chains.Length + i));
            }
        }
    }

    public override bool NeedsInterrupt()
    {
        ushort before = _signalledUsed;
        ushort now = _nextUsed;
        if ((before == now && !_signalledUnknown) || _used is null)
        {
            return false;
        }

        // Full fence: our used.idx is out before we look at what the driver asked for. Pairs with the driver's fence between writing
        // used_event (or clearing NO_INTERRUPT) and looking at used.idx once more.
        Interlocked.MemoryBarrier();
        if (!_eventIndex)
        {
            _signalledUsed = now;
            _signalledUnknown = false;
            return (*(ushort*)_available & AvailableNoInterrupt) == 0;
        }

        ushort wanted = *(ushort*)(_available + 4 + (2 * Size));
        _signalledUsed = now;
        if (_signalledUnknown)
        {
            _signalledUnknown = false;
            return true;
        }

        return (ushort)(now - wanted - 1) < (ushort)(now - before);
    }

    public override void DisableKicks()
    {
        // With event indices there is nothing to write: avail_event stays where the driver has passed it already.
        if (!_eventIndex && _used is not null)
        {
            *(ushort*)_used = UsedNoNotify;
            MarkUsedDirty(0, sizeof(ushort));
        }
    }

    public override bool EnableKicksAndCheckForMore()
    {
        if (_used is null || IsBroken || !Dma.Enabled)
        {
            return false;
        }

        uint place = _eventIndex ? 4 + (8u * Size) : 0;
        *(ushort*)(_used + place) = _eventIndex ? _nextAvailable : (ushort)0;
        MarkUsedDirty(place, sizeof(ushort));

        // Full fence: our request is out before we look at avail.idx once more. Pairs with the driver's fence between publishing avail.idx
        // and looking at avail_event (or NO_NOTIFY).
        Interlocked.MemoryBarrier();
        return _nextAvailable != *(ushort*)(_available + 2);
    }

    public override VirtqueueState Save()
    {
        return new VirtqueueState { AvailableIndex = _nextAvailable, UsedIndex = _nextUsed };
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
        _used = null;
    }

    private protected override void OnBroken()
    {
        _knownAvailable = _nextAvailable;
    }

    private void ResolveRings()
    {
        _descriptors = View.Resolve(_configuration.Descriptors, (ulong)Size * DescriptorSize, false);
        _available = View.Resolve(_configuration.Driver, AvailableLength, false);
        _used = View.Resolve(_configuration.Device, UsedLength, true);
        if (_descriptors is null || _available is null || _used is null)
        {
            _used = null;
            string area = _descriptors is null ? "descriptor table" : _available is null ? "available ring" : "used ring";
            MarkBroken($"the {area} is not in one region of RAM");
        }
    }

    // The hot loop: what it needs for a plain descriptor fits into registers, and everything else is out of line.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool Walk(DescriptorChain chain, uint index)
    {
        byte* table = _descriptors;
        uint count = Size;
        uint left = count;
        bool inside = false;
        ref DmaView.Region hit = ref View.Hit;
        GuestSegment* segment = chain.Segments;
        GuestSegment* end = chain.SegmentsEnd;
        ulong total = 0;
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
                    table = EnterIndirectTable(address, (uint)length, inside, (flagsAndNext & DescriptorNext) != 0);
                    if (table is null)
                    {
                        return false;
                    }

                    inside = true;
                    chain.RingDescriptors = count - left + 1;
                    count = left = (uint)length / DescriptorSize;
                    index = 0;
                    continue;
                }

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

        int pieces = (int)(segment - chain.Segments);
        if (direction == 0)
        {
            chain.ReadableCount = pieces;
            chain.ReadableLength = (long)total;
        }

        chain.WritableCount = pieces - chain.ReadableCount;
        chain.WritableLength = (long)total - chain.ReadableLength;
        if (!inside)
        {
            chain.RingDescriptors = count - left + 1;
        }

        return total <= MaximumLength || Break(TooLong);
    }

    private bool FetchAvailable()
    {
        if (IsBroken)
        {
            return false;
        }

        // Acquire: ring entries and descriptors are read after the index. Pairs with the driver's release when it publishes avail.idx.
        ushort available = Volatile.Read(ref *(ushort*)(_available + 2));
        if (available == _nextAvailable)
        {
            return false;
        }

        if ((ushort)(available - _nextAvailable) > Size)
        {
            return Break("the available index jumps by more than the queue size");
        }

        _knownAvailable = available;
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void WriteUsed(DescriptorChain chain, uint written)
    {
        *(ulong*)(_used + 4 + (8 * (_nextUsed & _mask))) = chain.Head | ((ulong)written << 32);
        _nextUsed++;
    }

    /// <summary>Marks a completed chain's bytes, its used element, and the index.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void MarkCompleted(DescriptorChain chain, uint written, uint index)
    {
        MarkDirty(chain, written);
        MarkUsedDirty(4 + (8 * (index & _mask)), sizeof(ulong));
        MarkUsedDirty(2, sizeof(ushort));
    }

    private void MarkUsedDirty(uint offset, uint length)
    {
        if (View.Tracker is not null)
        {
            View.MarkDirty(_used + offset, length);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void PublishUsed()
    {
        // Release: buffers and used elements are out before the index. Pairs with the driver's acquire when it reads used.idx.
        Volatile.Write(ref *(ushort*)(_used + 2), _nextUsed);
    }
}
