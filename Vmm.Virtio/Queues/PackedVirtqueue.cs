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

    /// <summary>Without a virtual call, for <see cref="Virtqueue.Complete"/>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal void CompleteHere(DescriptorChain chain, uint written)
    {
        Debug.Assert(written <= chain.WritableLength, "a device reports no more than it can have written");
        if (_descriptors is not null)
        {
            ulong* used = Use(chain, written, out ulong value);
            Publish(used, value);
            if (View.Tracker is not null)
            {
                MarkCompleted(chain, written, used);
            }
        }
    }

    public override void CompleteTogether(ReadOnlySpan<DescriptorChain> chains, ReadOnlySpan<uint> written)
    {
        if (_descriptors is null || chains.IsEmpty)
        {
            return;
        }

        // The driver looks at used descriptors in ring order: it sees none of them before it sees the first.
        ulong* first = Use(chains[0], written[0], out ulong firstValue);
        for (int i = 1; i < chains.Length; i++)
        {
            ulong* used = Use(chains[i], written[i], out ulong value);
            Publish(used, value);
            if (View.Tracker is not null)
            {
                MarkCompleted(chains[i], written[i], used);
            }
        }

        Publish(first, firstValue);
        if (View.Tracker is not null)
        {
            MarkCompleted(chains[0], written[0], first);
        }
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

    private uint Distance(VirtqueueState state)
    {
        uint laps = WrapOf(state.AvailableIndex) == WrapOf(state.UsedIndex) ? 0u : Size;
        return PlaceOf(state.AvailableIndex) + laps - PlaceOf(state.UsedIndex);
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

    /// <summary>Goes past the descriptors of a chain.</summary>
    /// <param name="chain">The chain.</param>
    /// <param name="written">Bytes written to it.</param>
    /// <param name="value">Length, id and flags of the used descriptor.</param>
    /// <returns>Where they belong: the upper half of a descriptor.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ulong* Use(DescriptorChain chain, uint written, out ulong value)
    {
        // WRITE says that the length counts (2.8.4).
        uint flags = (_usedWrap != 0 ? DescriptorAvailable | DescriptorUsed : 0) | (written != 0 ? DescriptorWrite : 0);
        value = written | ((ulong)chain.Head << 32) | ((ulong)flags << 48);
        ulong* used = (ulong*)(_descriptors + ((nuint)_nextUsed * DescriptorSize) + 8);
        uint slots = chain.RingDescriptors;
        uint next = _nextUsed + slots;
        if (next >= Size)
        {
            next -= Size;
            _usedWrap ^= 1;
        }

        _nextUsed = next;
        _taken -= slots;
        _unsignalled += slots;
        return used;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Publish(ulong* used, ulong value)
    {
        // Release: the buffers are out before the flags, which are one aligned word with length and id. Pairs with the driver's acquire when it
        // reads the flags.
        Volatile.Write(ref *used, value);
    }

    /// <summary>Marks a completed chain's bytes and the part of its used descriptor that was written.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void MarkCompleted(DescriptorChain chain, uint written, ulong* used)
    {
        MarkDirty(chain, written);
        View.MarkDirty((byte*)used, sizeof(ulong));
    }
}
