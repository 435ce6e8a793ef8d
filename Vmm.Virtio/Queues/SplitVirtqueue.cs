using System;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Threading;
using Vmm.DeviceModel.Interrupts;
using Vmm.DeviceModel.Memory;

namespace Vmm.Virtio.Queues;

/// <summary>The device side of a split virtqueue (virtio 1.2, 2.7).</summary>
internal sealed unsafe partial class SplitVirtqueue : Virtqueue
{
    private readonly VirtqueueConfiguration _configuration;
    private readonly uint _mask;
    private readonly bool _eventIndex;

    private byte* _descriptors;
    private byte* _available;
    private byte* _used;

    // Free-running, of which the ring shows the lower 16 bits.
    private uint _nextAvailable;
    private uint _knownAvailable;
    private uint _nextUsed;
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

    /// <summary>Without a virtual call, for <see cref="Virtqueue.Complete"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void CompleteHere(DescriptorChain chain, uint written)
    {
        Debug.Assert(written <= chain.WritableLength, "a device reports no more than it can have written");
        byte* used = _used;
        if (used is null)
        {
            return;
        }

        uint next = _nextUsed;
        *(ulong*)(used + 4 + (8 * (nuint)(next & _mask))) = chain.Head | ((ulong)written << 32);
        _nextUsed = next + 1;

        // Release: as in PublishUsed.
        Volatile.Write(ref *(ushort*)(used + 2), (ushort)(next + 1));
        if (View.Tracker is not null)
        {
            MarkCompleted(chain, written, next);
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
                MarkCompleted(chains[i], written[i], _nextUsed - (uint)chains.Length + (uint)i);
            }
        }
    }

    public override VirtqueueState Save()
    {
        return new VirtqueueState { AvailableIndex = (ushort)_nextAvailable, UsedIndex = (ushort)_nextUsed };
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
        _asksByFlag = false;
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

        ChooseQuestion();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void WriteUsed(DescriptorChain chain, uint written)
    {
        *(ulong*)(_used + 4 + (8 * (nuint)(_nextUsed & _mask))) = chain.Head | ((ulong)written << 32);
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
        Volatile.Write(ref *(ushort*)(_used + 2), (ushort)_nextUsed);
    }
}
