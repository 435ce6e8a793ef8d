using System.Collections.Generic;
using System.Threading;

namespace Vmm.DeviceModel.Bus;

/// <summary>How the claims of the space change.</summary>
public sealed partial class AddressSpace
{
    private const ulong LastPort = 0xffff;

    private readonly Lock _lock = new();
    private readonly HypervisorRegistrations _registrations;

    // Guarded by _lock; replaced as a whole when a transaction commits.
    private Dictionary<Claim, Placement> _placements = [];
    private ulong _nextSequence;

    private int GranuleShift => Kind == AddressSpaceKind.Port ? PortShift : PageShift;

    private ulong LastAddress => Kind == AddressSpaceKind.Port ? LastPort : ulong.MaxValue;

    /// <summary>Starts a set of changes that take effect together.</summary>
    public AddressSpaceTransaction BeginTransaction() => new(this);

    /// <summary>Adds one claim (a transaction of one step).</summary>
    /// <param name="claim">A claim that is in no space.</param>
    /// <param name="baseAddress">Its first address.</param>
    public void Add(Claim claim, ulong baseAddress)
    {
        AddressSpaceTransaction transaction = BeginTransaction();
        transaction.Add(claim, baseAddress);
        transaction.Commit();
    }

    /// <summary>Removes one claim; returns after the last access in flight to it has ended (BUS-6).</summary>
    /// <param name="claim">A claim of this space.</param>
    public void Remove(Claim claim)
    {
        AddressSpaceTransaction transaction = BeginTransaction();
        transaction.Remove(claim);
        transaction.Commit();
    }

    /// <summary>Makes a transaction's steps take effect, or none of them.</summary>
    /// <param name="steps">In their order.</param>
    /// <param name="waitsForBlocking">False where the caller waits for the accesses of removed blocking claims by itself, or need not.</param>
    internal void Commit(IReadOnlyList<TransactionStep> steps, bool waitsForBlocking)
    {
        Domain.ThrowIfInside();
        ChangeSet changes;
        lock (_lock)
        {
            changes = new ChangeSet(this, _placements, _nextSequence);
            try
            {
                foreach (TransactionStep step in steps)
                {
                    changes.Apply(step);
                }

                changes.Complete();
                FlatSegment[] segments = FlatViewBuilder.Flatten(changes.DispatchedPlacements, LastAddress, _unclaimedCounter);
                _registrations.Change(segments, changes.Doorbells);

                // From here on nothing fails. Until here every access saw the old map, from here on every one sees the new.
                var view = new FlatView(segments, GranuleShift);
                _view = view;
                _placements = changes.Placements;
                _nextSequence = changes.NextSequence;
                changes.SetBases();
                StandInForFaulted(view);
            }
            catch
            {
                changes.Undo();
                throw;
            }
        }

        if (changes.TookSomethingAway)
        {
            Domain.Synchronize();
        }

        foreach (Claim claim in changes.Removed)
        {
            if (!waitsForBlocking || !claim.IsBlocking)
            {
                Settle(claim);
            }
        }

        if (!waitsForBlocking)
        {
            return;
        }

        foreach (Claim claim in changes.Removed)
        {
            if (claim.BlockingCalls is { } calls)
            {
                calls.Wait();
                Settle(claim);
            }
        }
    }

    /// <summary>Gives a removed claim free. Nobody is in an access that counts for it any more.</summary>
    private void Settle(Claim claim)
    {
        int position = claim.CounterPosition;
        lock (_lock)
        {
            // Nobody counts there any more: the sum is final, and the next user of the position starts from it.
            claim.CountedEarlier = CountersOf(claim);
            claim.Leave();
        }

        Domain.FreeCounter(position);
    }

    private static void StandInForFaulted(FlatView view)
    {
        // A handler may have thrown between building and publishing; its thread then patched the old view (see Fault).
        Interlocked.MemoryBarrier();
        foreach (FlatSegment segment in view.All)
        {
            if (segment.Claim is { HasFaulted: true } claim && !ReferenceEquals(segment.Handler, FaultedHandler.Instance))
            {
                view.ReplaceHandler(claim, FaultedHandler.Instance);
            }
        }
    }

    private ClaimCounters CountersOf(Claim claim)
    {
        return claim.CountedEarlier.Plus(ClaimCounters.At(Domain, claim.CounterPosition).Minus(claim.CountedBefore));
    }

    /// <summary>The claims and their counts, for the meter.</summary>
    internal List<(Claim Claim, ClaimCounters Counters)> SnapshotCounters()
    {
        var counters = new List<(Claim, ClaimCounters)>();
        lock (_lock)
        {
            foreach (Claim claim in _placements.Keys)
            {
                if (claim is not DoorbellClaim)
                {
                    counters.Add((claim, CountersOf(claim)));
                }
            }
        }

        return counters;
    }
}
