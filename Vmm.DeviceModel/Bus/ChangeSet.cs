using System;
using System.Collections.Generic;

namespace Vmm.DeviceModel.Bus;

/// <summary>The claims of a space as they will be, worked out beside those that are.</summary>
/// <remarks>
/// Used under the space's lock. Until the change is published it alters nothing but the membership of added claims, which <see cref="Undo"/> takes
/// back.
/// </remarks>
internal sealed class ChangeSet
{
    private readonly AddressSpace _space;
    private readonly Dictionary<Claim, Placement> _before;
    private readonly List<Claim> _entered = [];
    private readonly HashSet<Claim> _touched = [];

    public ChangeSet(AddressSpace space, Dictionary<Claim, Placement> before, ulong nextSequence)
    {
        _space = space;
        _before = before;
        Placements = new Dictionary<Claim, Placement>(before);
        NextSequence = nextSequence;
    }

    /// <summary>Every claim that will be in the space.</summary>
    public Dictionary<Claim, Placement> Placements { get; }

    /// <summary>The sequence number of the next claim that is added.</summary>
    public ulong NextSequence { get; private set; }

    /// <summary>Claims that were in the space and will not be.</summary>
    public List<Claim> Removed { get; } = [];

    /// <summary>True if accesses in flight must be waited for: something was removed or is somewhere else.</summary>
    public bool TookSomethingAway { get; private set; }

    /// <summary>The claims that occupy addresses.</summary>
    public IEnumerable<KeyValuePair<Claim, Placement>> DispatchedPlacements
    {
        get
        {
            foreach (KeyValuePair<Claim, Placement> pair in Placements)
            {
                if (pair.Key is not DoorbellClaim)
                {
                    yield return pair;
                }
            }
        }
    }

    /// <summary>The doorbells and their addresses, in order of adding.</summary>
    public List<(DoorbellClaim Doorbell, ulong Address)> Doorbells { get; } = [];

    /// <summary>Performs a step on the claims as they will be.</summary>
    public void Apply(in TransactionStep step)
    {
        Claim claim = step.Claim;
        switch (step.Kind)
        {
            case TransactionStepKind.Add:
                Enter(claim);
                Placements.Add(claim, new Placement(claim is DoorbellClaim ? 0 : step.Base, NextSequence++));
                break;
            case TransactionStepKind.Move:
                Placements[claim] = Current(claim) with { Base = step.Base };
                break;
            default:
                _ = Current(claim);
                Placements.Remove(claim);
                RemoveDoorbellsOver(claim);
                break;
        }

        _touched.Add(claim);
    }

    /// <summary>Checks what can only be checked at the end, and works out what the steps come to.</summary>
    public void Complete()
    {
        foreach (Claim claim in _touched)
        {
            bool was = _before.TryGetValue(claim, out Placement old);
            bool isThere = Placements.TryGetValue(claim, out Placement now);
            if (was && !isThere)
            {
                Removed.Add(claim);
            }

            TookSomethingAway |= was && (!isThere || old.Base != now.Base);
        }

        foreach (Claim claim in Placements.Keys)
        {
            if (claim is not DoorbellClaim doorbell)
            {
                continue;
            }

            if (!Placements.TryGetValue(doorbell.Over, out Placement over))
            {
                throw new ArgumentException($"{doorbell.Name} lies over {doorbell.Over.Name}, which is not in {_space.Name}");
            }

            Doorbells.Add((doorbell, over.Base + doorbell.Offset));
        }

        Doorbells.Sort((a, b) => Placements[a.Doorbell].Sequence.CompareTo(Placements[b.Doorbell].Sequence));
        foreach ((DoorbellClaim doorbell, ulong address) in Doorbells)
        {
            Placements[doorbell] = Placements[doorbell] with { Base = address };
        }
    }

    /// <summary>Shows the new addresses on the claims, when the change has been published.</summary>
    public void SetBases()
    {
        foreach ((Claim claim, Placement placement) in Placements)
        {
            claim.Base = placement.Base;
        }

        // Added and removed again by the same transaction: never was in the space.
        foreach (Claim claim in _entered)
        {
            if (!Placements.ContainsKey(claim))
            {
                Forget(claim);
            }
        }
    }

    /// <summary>Gives free what was to be added.</summary>
    public void Undo()
    {
        foreach (Claim claim in _entered)
        {
            Forget(claim);
        }
    }

    private void Enter(Claim claim)
    {
        if (Placements.ContainsKey(claim))
        {
            throw new ArgumentException($"{claim.Name} is in {_space.Name} already");
        }

        if (_before.ContainsKey(claim))
        {
            // Removed by an earlier step of this transaction: it never left.
            return;
        }

        if (_entered.Contains(claim))
        {
            return;
        }

        if (!claim.TryEnter(_space))
        {
            throw new ArgumentException($"{claim.Name} is in an address space already ({claim.Space?.Name})");
        }

        claim.BeginStay();
        claim.CounterPosition = _space.Domain.AllocateCounter();
        claim.CountedBefore = ClaimCounters.At(_space.Domain, claim.CounterPosition);
        _entered.Add(claim);
    }

    private void Forget(Claim claim)
    {
        _space.Domain.FreeCounter(claim.CounterPosition);
        claim.Leave();
    }

    private Placement Current(Claim claim)
    {
        return Placements.TryGetValue(claim, out Placement placement)
            ? placement
            : throw new ArgumentException($"{claim.Name} is not in {_space.Name}");
    }

    private void RemoveDoorbellsOver(Claim claim)
    {
        foreach (Claim other in new List<Claim>(Placements.Keys))
        {
            if (other is DoorbellClaim doorbell && ReferenceEquals(doorbell.Over, claim))
            {
                Placements.Remove(other);
                _touched.Add(other);
            }
        }
    }
}
