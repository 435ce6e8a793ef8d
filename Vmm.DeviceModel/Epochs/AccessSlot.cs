using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace Vmm.DeviceModel.Epochs;

/// <summary>What one thread owns in one <see cref="AccessDomain"/>: whether it is inside, its counts, and what it is to do when it leaves.</summary>
/// <remarks>Written by its own thread alone, read by writers and by who sums counters. Outlives the thread until its counts were folded.</remarks>
internal sealed class AccessSlot
{
    /// <summary>Counts start one cache line into their array, so that two threads' arrays share no line.</summary>
    internal const int FirstCounter = 8;

    /// <summary>The slot that this thread used last; nearly always the one that is wanted.</summary>
    [ThreadStatic]
    internal static AccessSlot? Current;

    [ThreadStatic]
    private static ThreadSlots? _all;

    /// <summary>Odd while the thread is inside. Plain and release stores by the thread alone.</summary>
    internal long Sequence;

    /// <summary>The thread's counts at the positions that the domain gave out.</summary>
    internal long[] Counts;

    /// <summary>Which domain the slot belongs to; weak, so that a thread keeps no domain alive.</summary>
    internal readonly WeakReference<AccessDomain> Owner;

    /// <summary>Effects to run once the thread has left, each with the domain, which the slot itself does not keep alive.</summary>
    internal Queue<(AccessDomain Domain, Action Run)>? Effects;

    /// <summary>True while <see cref="Effects"/> holds something: the one thing that leaving looks at.</summary>
    internal bool HasEffects;

    /// <summary>True while the thread runs its effects, which are outside accesses of their own.</summary>
    internal bool RunsEffects;

    /// <summary>How many handlers of blocking claims the thread is in, one inside the other; outside the epoch in each of them.</summary>
    internal int BlockingCalls;

    /// <summary>
    /// How many stays in the epoch are around the thread's access, one inside the other, which rely on it until they end: an access that a handler
    /// makes, or one in a scope of <see cref="AccessDomain.Enter"/>.
    /// </summary>
    internal int Nesting;

    /// <summary>True once the thread has ended.</summary>
    internal volatile bool IsDead;

#pragma warning disable CS0169, CA1823, IDE0051, IDE0044 // keeps the next object on the heap off our cache lines
    private Padding _padding;
#pragma warning restore CS0169, CA1823, IDE0051, IDE0044

    internal AccessSlot(WeakReference<AccessDomain> owner, int counts)
    {
        Owner = owner;
        Counts = new long[counts];
    }

    /// <summary>True while the thread is inside an access, also while a blocking claim answers it and no other change waits for the thread.</summary>
    internal bool IsInside => (Sequence & 1) != 0 || BlockingCalls != 0;

    /// <summary>The calling thread's slot of a domain, or null if it never was inside.</summary>
    internal static AccessSlot? Find(WeakReference<AccessDomain> owner)
    {
        AccessSlot? current = Current;
        if (current is not null && ReferenceEquals(current.Owner, owner))
        {
            return current;
        }

        if (_all is not null)
        {
            foreach (AccessSlot slot in _all.Slots)
            {
                if (ReferenceEquals(slot.Owner, owner))
                {
                    Current = slot;
                    return slot;
                }
            }
        }

        return null;
    }

    /// <summary>Makes the calling thread's slot known to it. Slots of domains that are gone are dropped on the way.</summary>
    internal static void Adopt(AccessSlot slot)
    {
        ThreadSlots all = _all ??= new ThreadSlots();
        var kept = new List<AccessSlot>(all.Slots.Length + 1);
        foreach (AccessSlot old in all.Slots)
        {
            if (old.Owner.TryGetTarget(out _))
            {
                kept.Add(old);
            }
        }

        kept.Add(slot);
        all.Slots = kept.ToArray();
        Current = slot;
    }

    /// <summary>
    /// Leaves the epoch in the middle of an access, for a handler that may wait: a change of the space does not wait for it. Counted before it
    /// leaves, so that a removal, which waits for the epoch first, finds the count of everybody who found what is removed. An access inside another
    /// stay is counted and does not leave.
    /// </summary>
    /// <param name="calls">Where it counts.</param>
    /// <returns>Comes back when disposed. No view that was read before may be used after.</returns>
    internal BlockingScope Block(BlockingCalls calls)
    {
        calls.Begin();
        if (Nesting != 0 || (Sequence & 1) == 0)
        {
            return new BlockingScope(calls, null);
        }

        BlockingCalls++;
        Volatile.Write(ref Sequence, Sequence + 1);
        return new BlockingScope(calls, this);
    }

    /// <summary>Comes back into the epoch, to go on with the access.</summary>
    internal void ReturnFromBlocking()
    {
        Volatile.Write(ref Sequence, Sequence + 1);
        BlockingCalls--;
    }

    /// <summary>Adds one to a count. Only the slot's own thread calls this.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Count(int position)
    {
        long[] counts = Counts;
        if ((uint)position < (uint)counts.Length)
        {
            counts[position]++;
        }
        else
        {
            CountAfterGrowing(position);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void CountAfterGrowing(int position)
    {
        // Whoever sums meanwhile sees the old array or the new one, both with everything counted until now.
        long[] counts = new long[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)position + 1)];
        Counts.CopyTo(counts, 0);
        counts[position]++;
        Volatile.Write(ref Counts, counts);
    }

    /// <summary>All slots of one thread. Collected after the thread's end, which is how the domains learn of it.</summary>
    private sealed class ThreadSlots
    {
        ~ThreadSlots()
        {
            foreach (AccessSlot slot in Slots)
            {
                slot.IsDead = true;
            }
        }

        public AccessSlot[] Slots { get; set; } = [];
    }

    [StructLayout(LayoutKind.Sequential, Size = 128)]
    private struct Padding
    {
    }
}
