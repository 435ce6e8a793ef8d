using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Diagnostics;

namespace Vmm.DeviceModel.Epochs;

/// <summary>Knows which threads are inside an access, so that a change can wait until nobody uses what it took away.</summary>
/// <remarks>
/// <para>Readers (a dispatch, a queue worker that holds guest pointers) cost two plain stores to a slot of their own thread; the writer pays
/// with a process-wide memory barrier and waits for the readers it saw. No reader ever waits, and no reader executes a locked instruction.</para>
/// <para>Why no reader is missed. A reader stores its odd sequence number (S1), then loads the view (L1), uses it, and stores the even number
/// (S2, release). A writer stores the new view (S3), runs the process-wide barrier (B), then loads every sequence number (L2). B makes every
/// running thread of the process pass a full barrier between S3 and L2; a thread that is not running passed one when it was switched out.
/// If a reader's barrier comes before its L1 completes, L1 sees S3: the reader has the new view and may be ignored. Otherwise L1, and so S1
/// before it, was done before the barrier, so L2 sees the odd number and the writer waits. S1 and L1 cannot be swapped by the compiler: both
/// are volatile accesses, which the JIT keeps in order; that the processor may let L1 pass S1 is what B is for. S2 is a release and L2 an
/// acquire, so all that the reader did is over when the writer sees the number change. The number only grows, so that a reader
/// that leaves and enters again is told from one that stayed.</para>
/// <para>A thread registers its slot under a lock before its first S1. A writer that lists the slots before that holds the same lock earlier, so
/// that S3 precedes the reader's L1. Slots of threads that have ended are found by a finalizer, and their counts folded.</para>
/// <para>Lock order: the lock of a domain is innermost; nothing is called under it.</para>
/// </remarks>
public sealed class AccessDomain
{
    private readonly Lock _lock = new();
    private readonly List<AccessSlot> _slots = [];
    private readonly Stack<int> _freeCounters = new();
    private readonly ILogger _logger;
    private long[] _folded = [];
    private int _nextCounter = AccessSlot.FirstCounter;
    private long _failedEffects;

    /// <summary>Makes a domain with nobody inside.</summary>
    /// <param name="loggerFactory">Where effects that fail are logged.</param>
    public AccessDomain(ILoggerFactory? loggerFactory = null)
    {
        _logger = GuardedLogger.Create<AccessDomain>(loggerFactory);
        Identity = new WeakReference<AccessDomain>(this);
    }

    /// <summary>True if the calling thread is inside an access or a scope of this domain, also in the handler of a blocking claim.</summary>
    public bool IsInside => AccessSlot.Find(Identity)?.IsInside ?? false;

    /// <summary>How many effects of <see cref="RunAfterAccess"/> threw.</summary>
    public long FailedEffects => Volatile.Read(ref _failedEffects);

    /// <summary>What slots are told apart by.</summary>
    internal WeakReference<AccessDomain> Identity { get; }

    /// <summary>How many threads have a slot.</summary>
    internal int SlotCount
    {
        get
        {
            lock (_lock)
            {
                FoldDeadSlots();
                return _slots.Count;
            }
        }
    }

    /// <summary>Marks the calling thread as inside until the returned scope is disposed; nests.</summary>
    public ReadScope Enter()
    {
        AccessSlot slot = Slot();
        long sequence = slot.Sequence;
        if ((sequence & 1) != 0)
        {
            // The outer scope, or the access around us, keeps us inside.
            return default;
        }

        Volatile.Write(ref slot.Sequence, sequence + 1);
        return new ReadScope(slot);
    }

    /// <summary>Waits until every thread that is inside now has left once. Must not be called from inside,
    /// nor with a lock held that somebody inside may want.</summary>
    /// <exception cref="InvalidOperationException">The calling thread is inside and would wait for itself.</exception>
    public void Synchronize()
    {
        ThrowIfInside();
        Interlocked.MemoryBarrierProcessWide();
        AccessSlot[] slots;
        lock (_lock)
        {
            FoldDeadSlots();
            slots = _slots.ToArray();
        }

        foreach (AccessSlot slot in slots)
        {
            long seen = Volatile.Read(ref slot.Sequence);
            if ((seen & 1) != 0)
            {
                WaitForLeaving(slot, seen);
            }
        }
    }

    /// <summary>
    /// Runs an effect at once, or, if the calling thread is inside an access, right after its outermost access has ended and before the vCPU
    /// goes on. This is how a configuration write moves a BAR without waiting for itself.
    /// </summary>
    /// <param name="effect">Must handle its own failures: an exception out of it is logged and counted, never thrown.</param>
    public void RunAfterAccess(Action effect)
    {
        ArgumentNullException.ThrowIfNull(effect);
        var slot = AccessSlot.Find(Identity);
        if (slot is null || !slot.IsInside)
        {
            RunEffect(effect);
            return;
        }

        slot.Effects ??= new Queue<(AccessDomain, Action)>();
        slot.Effects.Enqueue((this, effect));
        slot.HasEffects = true;
    }

    /// <summary>
    /// Lets the calling thread wait in the middle of its access, for a handler that answers for several devices and knows which of them may take
    /// long. No change of a space waits for it meanwhile.
    /// </summary>
    /// <param name="calls">
    /// Where it counts, for the removal of the one that it waits for, which takes away first by what this access has found it.
    /// </param>
    /// <returns>Comes back when disposed.</returns>
    internal BlockingScope Block(BlockingCalls calls)
    {
        if (AccessSlot.Find(Identity) is { } slot)
        {
            return slot.Block(calls);
        }

        calls.Begin();
        return new BlockingScope(calls, null);
    }

    /// <summary>Throws if the calling thread is inside: waiting for the readers would be waiting for itself.</summary>
    internal void ThrowIfInside()
    {
        if (IsInside)
        {
            throw new InvalidOperationException(
                "called from inside a guest access of the same domain, it would wait for itself: pass the change to AccessDomain.RunAfterAccess");
        }
    }

    /// <summary>The calling thread's slot, made at its first access.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal AccessSlot Slot()
    {
        AccessSlot? slot = AccessSlot.Current;
        return slot is not null && ReferenceEquals(slot.Owner, Identity) ? slot : FindOrAddSlot();
    }

    /// <summary>The calling thread's slot when it is not the one used last.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal AccessSlot FindOrAddSlot()
    {
        var slot = AccessSlot.Find(Identity);
        if (slot is not null)
        {
            return slot;
        }

        lock (_lock)
        {
            FoldDeadSlots();
            slot = new AccessSlot(Identity, Math.Max(64, _nextCounter + AccessSlot.FirstCounter));
            _slots.Add(slot);
        }

        AccessSlot.Adopt(slot);
        return slot;
    }

    /// <summary>Runs what the thread queued while it was inside.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void RunEffects(AccessSlot slot)
    {
        if (slot.RunsEffects || slot.BlockingCalls != 0)
        {
            // An access made by an effect has ended: the loop below us goes on with what it queued. Or one made by a blocking handler: the effects
            // follow when that handler's own access has ended.
            return;
        }

        slot.RunsEffects = true;
        while (slot.Effects!.TryDequeue(out (AccessDomain Domain, Action Run) effect))
        {
            effect.Domain.RunEffect(effect.Run);
        }

        slot.HasEffects = false;
        slot.RunsEffects = false;
    }

    /// <summary>Takes a pair of positions for counting reads and writes. Nobody else counts there until it is given back.</summary>
    internal int AllocateCounter()
    {
        lock (_lock)
        {
            if (_freeCounters.TryPop(out int free))
            {
                return free;
            }

            int position = _nextCounter;
            _nextCounter += 2;
            return position;
        }
    }

    /// <summary>Gives a pair of positions back, when no reader can hold a view that names it.</summary>
    internal void FreeCounter(int position)
    {
        lock (_lock)
        {
            _freeCounters.Push(position);
        }
    }

    /// <summary>
    /// The sums at a pair of positions over all threads, also those that have ended. They only grow: users subtract where they began.
    /// </summary>
    internal (long Reads, long Writes) Sum(int position)
    {
        lock (_lock)
        {
            FoldDeadSlots();
            long reads = At(_folded, position);
            long writes = At(_folded, position + 1);
            foreach (AccessSlot slot in _slots)
            {
                long[] counts = Volatile.Read(ref slot.Counts);
                reads += At(counts, position);
                writes += At(counts, position + 1);
            }

            return (reads, writes);
        }
    }

    private static long At(long[] counts, int position)
    {
        return position < counts.Length ? Volatile.Read(ref counts[position]) : 0;
    }

    private static void WaitForLeaving(AccessSlot slot, long seen)
    {
        var wait = default(PollingWait);
        while (Volatile.Read(ref slot.Sequence) == seen && !slot.IsDead)
        {
            wait.Once();
        }
    }

    private void RunEffect(Action effect)
    {
        try
        {
            effect();
        }
        catch (Exception exception)
        {
            Interlocked.Increment(ref _failedEffects);
            Log.EffectFailed(_logger, exception);
        }
    }

    private void FoldDeadSlots()
    {
        for (int i = _slots.Count - 1; i >= 0; i--)
        {
            AccessSlot slot = _slots[i];
            if (!slot.IsDead)
            {
                continue;
            }

            if (_folded.Length < slot.Counts.Length)
            {
                Array.Resize(ref _folded, slot.Counts.Length);
            }

            for (int position = 0; position < slot.Counts.Length; position++)
            {
                _folded[position] += slot.Counts[position];
            }

            _slots.RemoveAt(i);
        }
    }

    /// <summary>The calling thread's stay inside a domain.</summary>
    public ref struct ReadScope
    {
        private AccessSlot? _slot;

        internal ReadScope(AccessSlot slot) => _slot = slot;

        /// <summary>Leaves. The outermost scope then runs what was queued by <see cref="RunAfterAccess"/>.</summary>
        public void Dispose()
        {
            AccessSlot? slot = _slot;
            if (slot is null)
            {
                return;
            }

            _slot = null;
            Volatile.Write(ref slot.Sequence, slot.Sequence + 1);
            if (slot.HasEffects)
            {
                RunEffects(slot);
            }
        }
    }
}
