using System;
using System.Collections.Generic;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Epochs;

namespace Vmm.DeviceModel.Bus;

/// <summary>A bus: dispatches accesses to the claims of an address space through a flat, immutable view.</summary>
/// <remarks>
/// <para>Dispatch may be called from any number of threads and takes no lock, allocates nothing and executes no locked instruction: one volatile read
/// of the view, one look-up, one call (BUS-5). Changes are made by transactions, which serialise on one lock of the space.</para>
/// <para>Nothing throws while a thread is inside: handlers and the sink are fenced, and logs are guarded (<see cref="GuardedLogger"/>).
/// That is why the fast path needs no finally.</para>
/// <para>Lock order: the space's lock, then the <see cref="AccessDomain"/>'s. Under the space's lock the hypervisor is called, but nothing of a
/// device.</para>
/// <para>A change that takes something away waits for the accesses in flight: whoever commits it must hold no lock that a handler may want.
/// Accesses to a blocking claim (<see cref="Claim.IsBlocking"/>) are waited for by that claim's own removal alone.</para>
/// </remarks>
public sealed partial class AddressSpace
{
    private const int PageShift = 12;
    private const int PortShift = 3;
    private const int MaxWidth = 8;

    private readonly WeakReference<AccessDomain> _identity;
    private readonly TokenBucket _unclaimedReports = new();
    private readonly IUnclaimedAccessSink? _unclaimedSink;
    private readonly ILogger _logger;
    private readonly int _unclaimedCounter;
    private readonly ClaimCounters _unclaimedBefore;
    private volatile FlatView _view;
    private long _handlerFaults;

    /// <summary>Makes an empty space.</summary>
    /// <param name="options">Kind, name and the seams to the hypervisor.</param>
    public AddressSpace(AddressSpaceOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Kind = options.Kind;
        Name = options.Name;
        Domain = options.Domain ?? new AccessDomain(options.LoggerFactory);
        _identity = Domain.Identity;
        _unclaimedSink = options.UnclaimedSink;
        _logger = GuardedLogger.Create<AddressSpace>(options.LoggerFactory);
        _unclaimedCounter = Domain.AllocateCounter();
        _unclaimedBefore = ClaimCounters.At(Domain, _unclaimedCounter);
        _registrations = new HypervisorRegistrations(options, _logger);
        _view = new FlatView(FlatViewBuilder.Flatten([], LastAddress, _unclaimedCounter), GranuleShift);
        BusMetrics.Register(this);
    }

    /// <summary>Memory or port I/O.</summary>
    public AddressSpaceKind Kind { get; }

    /// <summary>Shown in logs.</summary>
    public string Name { get; }

    /// <summary>The readers that a removal waits for.</summary>
    public AccessDomain Domain { get; }

    /// <summary>The flattened view as it is now, sorted by address.</summary>
    public IReadOnlyList<AddressSpaceSegment> Segments => _view.Claimed;

    /// <summary>Counts of accesses, or parts of them, that nobody claimed.</summary>
    public ClaimCounters UnclaimedCounters => ClaimCounters.At(Domain, _unclaimedCounter).Minus(_unclaimedBefore);

    /// <summary>How often a handler threw; each claim's handler does so once or, from several threads at the same moment, a few times.</summary>
    public long HandlerFaults => Volatile.Read(ref _handlerFaults);

    /// <summary>How often the hypervisor refused a doorbell, whose writes are dispatched since.</summary>
    public long RefusedDoorbells => _registrations.RefusedDoorbells;

    /// <summary>How often the hypervisor refused a slot of memory that is dispatched since (<see cref="MemoryClaim.MayDispatch"/>).</summary>
    public long RefusedSlots => _registrations.RefusedSlots;

    /// <summary>How often a change that the hypervisor refused could not be undone in full; what was lost is dispatched instead.</summary>
    public long FailedRollbacks => _registrations.FailedRollbacks;

    /// <summary>Reads 1 to 8 bytes; unclaimed bytes are ones. Never throws for a guest's address or a device's fault.</summary>
    /// <param name="address">First byte.</param>
    /// <param name="width">1 to 8.</param>
    /// <returns>The bytes, little-endian; above the width zero.</returns>
    public ulong Read(ulong address, int width)
    {
        uint beyond = (uint)width - 1;
        if (beyond >= MaxWidth)
        {
            ThrowWidth(width);
        }

        AccessSlot? slot = AccessSlot.Current;
        if (slot is null || !ReferenceEquals(slot.Owner, _identity))
        {
            slot = Domain.FindOrAddSlot();
        }

        long sequence = slot.Sequence;
        if ((sequence & 1) != 0)
        {
            return ReadNested(slot, address, width);
        }

        // Inside from here on: the view that is read next stays usable until the store after the access (see AccessDomain).
        Volatile.Write(ref slot.Sequence, sequence + 1);
        ulong value;
        FlatView view = _view;
        FlatSegment? segment = view.Probe(address);
        if ((segment is not null && segment.ServesWhole(address, beyond)) || (segment = view.FindWhole(address, beyond)) is not null)
        {
            // Naturally aligned and wholly inside one claim: what nearly every access is.
            slot.Count(segment.Counter);
            value = CallRead(segment, address - segment.Base, width);
        }
        else
        {
            value = ReadPieces(slot, address, width);
        }

        // Read anew: a handler that waits has left and come back (AccessSlot.Block).
        Volatile.Write(ref slot.Sequence, slot.Sequence + 1);
        if (slot.HasEffects)
        {
            AccessDomain.RunEffects(slot);
        }

        return value;
    }

    /// <summary>Writes 1 to 8 bytes; unclaimed bytes are dropped. Never throws for a guest's address or a device's fault.</summary>
    /// <param name="address">First byte.</param>
    /// <param name="width">1 to 8.</param>
    /// <param name="value">Little-endian.</param>
    public void Write(ulong address, int width, ulong value)
    {
        uint beyond = (uint)width - 1;
        if (beyond >= MaxWidth)
        {
            ThrowWidth(width);
        }

        AccessSlot? slot = AccessSlot.Current;
        if (slot is null || !ReferenceEquals(slot.Owner, _identity))
        {
            slot = Domain.FindOrAddSlot();
        }

        long sequence = slot.Sequence;
        if ((sequence & 1) != 0)
        {
            WriteNested(slot, address, width, value);
            return;
        }

        Volatile.Write(ref slot.Sequence, sequence + 1);
        FlatView view = _view;
        FlatSegment? segment = view.Probe(address);
        if ((segment is not null && segment.ServesWhole(address, beyond)) || (segment = view.FindWhole(address, beyond)) is not null)
        {
            slot.Count(segment.Counter + 1);
            CallWrite(segment, address - segment.Base, width, value);
        }
        else
        {
            WritePieces(slot, address, width, value);
        }

        Volatile.Write(ref slot.Sequence, slot.Sequence + 1);
        if (slot.HasEffects)
        {
            AccessDomain.RunEffects(slot);
        }
    }

    /// <summary>Counts of a claim, summed over all threads without stopping them.</summary>
    /// <param name="claim">A claim of this space, or one that is in no space now: then what was counted while it was.</param>
    /// <exception cref="ArgumentException">The claim is in another space.</exception>
    public ClaimCounters GetCounters(Claim claim)
    {
        ArgumentNullException.ThrowIfNull(claim);
        lock (_lock)
        {
            // A claim that is being removed counts here until the last access to it has ended.
            ThrowIfElsewhere(claim);
            return claim.Space is null ? claim.CountedEarlier : CountersOf(claim);
        }
    }

    /// <summary>
    /// True once the handler of the claim has thrown; it answers all-ones until it is removed and added again (BUS-8): one of a BAR until the
    /// function leaves its bus, whatever its guest does with decoding.
    /// </summary>
    /// <param name="claim">A claim of this space, or one that is in no space now.</param>
    /// <exception cref="ArgumentException">The claim is in another space.</exception>
    public bool IsFaulted(Claim claim)
    {
        ArgumentNullException.ThrowIfNull(claim);
        ThrowIfElsewhere(claim);
        return claim.HasFaulted;
    }

    private static void ThrowWidth(int width)
    {
        throw new ArgumentOutOfRangeException(nameof(width), width, "1 to 8 bytes");
    }

    private void ThrowIfElsewhere(Claim claim)
    {
        if (claim.Space is { } other && !ReferenceEquals(other, this))
        {
            throw new ArgumentException($"{claim.Name} is a claim of {other.Name}, not of {Name}", nameof(claim));
        }
    }
}
