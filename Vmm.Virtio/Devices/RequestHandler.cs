using System;
using System.Threading;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves a queue whose chains are requests: each is done when it is taken, or begun then and completed later.</summary>
/// <remarks>
/// <para>
/// <see cref="Handle"/> does a short request at once, in a stay in guest memory that lasts for one request at most, and for one part of a long
/// one: between two parts the chain is back in the ring, so that a stop, and RAM that is removed, wait for a part and not for the request.
/// </para>
/// <para>
/// A request that waits for something (a disk, another process) is <see cref="RequestOutcome.Pending"/>: its chain stays popped and its guest
/// memory pinned until <see cref="Complete"/>, which comes once, from any thread and in any order; where VIRTIO_F_IN_ORDER was negotiated the ring
/// has them in order all the same. Up to the queue size of them are in flight. The driver hears once of what completed together, and of all that has
/// completed within milliseconds (<see cref="OwedInterrupt"/>), however long the next request takes to begin.
/// </para>
/// <para>
/// A chain object, with what the device keeps in its <see cref="DescriptorChain.State"/>, is used again when its request has ended; there are no
/// more of them than were in flight at once, and nothing is allocated any more then.
/// </para>
/// </remarks>
public abstract partial class RequestHandler : QueueHandler
{
    /// <summary>Bytes of guest memory that a part of a request may touch.</summary>
    protected const int PartLength = 1 << 20;

    private const int Portion = 128;

    // Submitted requests that begin together: few at first, so that neither the device nor, where they end at once, the driver is idle while the rest
    // is popped; then twice as many each time. More than the last save no system calls worth having.
    private const int CommittedFirst = 8;
    private const int CommittedAtOnce = 32;

    // The driver hears of a share of what is in flight, so that it can ask for more before the rest has ended; a deep queue of larger shares.
    private const int ToldInPartsOf = 4;
    private const int ToldAtOnce = 32;

    private readonly int _signalEvery;
    private readonly bool _inOrder;
    private readonly OwedInterrupt _owed;
    private DescriptorChain _chain = new();
    private bool _continued;
    private int _tellAfter = 1;

    /// <summary>Makes the handler of a queue that is not served yet.</summary>
    /// <param name="queue">The ring.</param>
    /// <param name="signalEvery">
    /// Completions after which the driver hears of them even if there is more to do; above 1, a quarter of what is in flight where that is more.
    /// </param>
    protected RequestHandler(Virtqueue queue, int signalEvery = 1)
        : base(queue)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(signalEvery, 1);
        _signalEvery = signalEvery;
        _inOrder = (queue.Features & RingFeatures.InOrder) != 0;
        _owed = new OwedInterrupt(queue.Interrupt, failure =>
        {
            if (IsClosed)
            {
                return;
            }

            try
            {
                Fail(failure);
            }
            catch (Exception)
            {
                // Telling the driver goes by the same sink, which throws again. The queue is broken by now, and the thread is the pool's.
            }
        });
    }

    /// <summary>
    /// True if the request in hand was begun by an earlier call of <see cref="Handle"/>, which said <see cref="RequestOutcome.Continue"/>.
    /// </summary>
    protected bool IsContinued => _continued;

    private protected override bool HasPart => Volatile.Read(ref _continued);

    /// <inheritdoc/>
    private protected override bool HasWork()
    {
        using (Queue.Enter())
        {
            return Queue.HasAvailable() || Queue.IsBroken;
        }
    }

    /// <inheritdoc/>
    protected sealed override bool Serve()
    {
        bool more = false;
        while (Exchange())
        {
            more = ServeRing();
            if (_uncommitted == 0)
            {
                break;
            }
        }

        return more;
    }

    /// <summary>
    /// Does what a request asks for, or the next part of it, which touches at most <see cref="PartLength"/> bytes of guest memory; or says that it
    /// takes its time. Inside guest memory; must not wait.
    /// </summary>
    /// <param name="chain">The request. A part finds it anew in the ring: what was checked before is checked again.</param>
    /// <param name="written">Bytes written from the start of its writable part; without meaning unless it is done.</param>
    protected abstract RequestOutcome Handle(DescriptorChain chain, out uint written);

    /// <summary>
    /// Begins a request that <see cref="Handle"/> or <see cref="Finish"/> said to be pending. Outside of guest memory, with that of the chain pinned.
    /// May do all of it and complete it before it returns; if that takes long, only this worker's queues wait. Must not throw once another thread
    /// may complete it.
    /// </summary>
    /// <param name="chain">The request.</param>
    protected virtual void Submit(DescriptorChain chain) => throw new NotSupportedException("the handler has requests that are pending, and no Submit");

    /// <summary>
    /// Begins what <see cref="Submit"/> has been given, if it has not, and ends by <see cref="CompleteHere"/> what the device knows has ended. Not
    /// in guest memory; before the worker sleeps, and after 8 to 32 requests. Not wanted where Submit begins them and other threads end them.
    /// </summary>
    protected virtual void Commit()
    {
    }

    /// <summary>
    /// Answers a request that was completed: writes the last of it into the guest, a part of at most <see cref="PartLength"/> bytes a call. Inside
    /// guest memory; must not wait. Not called for what completes after its queue has gone.
    /// </summary>
    /// <param name="chain">The request.</param>
    /// <param name="written">Bytes as <see cref="Complete"/> was given them, to be changed.</param>
    /// <returns>
    /// <see cref="RequestOutcome.Done"/>; <see cref="RequestOutcome.Continue"/> for another part; <see cref="RequestOutcome.Pending"/> to have it
    /// submitted once more, for its next step.
    /// </returns>
    protected virtual RequestOutcome Finish(DescriptorChain chain, ref uint written) => RequestOutcome.Done;

    /// <summary>Clears the next part of what a request leaves empty.</summary>
    /// <param name="buffers">All of it.</param>
    /// <param name="position">Bytes cleared so far.</param>
    /// <returns>True when the last part is done.</returns>
    protected static bool ClearPart(GuestBuffers buffers, ref long position)
    {
        long length = Math.Clamp(buffers.Length - position, 0, PartLength);
        if (length > 0)
        {
            buffers.Slice(position, length).Fill(0);
            position += length;
        }

        return position >= buffers.Length;
    }

    /// <summary>Runs between two parts, outside guest memory: the place to wait, for no longer than a stop may take.</summary>
    /// <returns>True if it waited.</returns>
    protected virtual bool WaitBetweenParts() => false;

    /// <summary>A used length of all of a chain's writable part; it has 32 bits, and a chain may have one byte more than they count.</summary>
    /// <param name="chain">The chain.</param>
    protected static uint WholeLength(DescriptorChain chain)
    {
        ArgumentNullException.ThrowIfNull(chain);
        return (uint)Math.Min(chain.WritableLength, uint.MaxValue);
    }

    /// <summary>Pops, begins and completes requests until the ring is empty, or the portion is used up.</summary>
    /// <returns>True if there is more to do now.</returns>
    private bool ServeRing()
    {
        int unsignalled = 0;
        int left = Portion;
        int commitAfter = CommittedFirst;
        bool looking = false;
        while (true)
        {
            DescriptorChain? begun = null;
            bool isEmpty = false;
            using (Queue.Enter())
            {
                if (!FinishSome(ref unsignalled))
                {
                    return false;
                }

                // What has ended is in the ring before the device is given something that may take it long.
                if (!HasFinished && (begun = _resubmitted.Take()) is null)
                {
                    bool isHeld = left == 0 || (IsHeld && !MayGoOn);
                    if (!isHeld && !looking)
                    {
                        Queue.DisableKicks();
                        looking = true;
                    }

                    isEmpty = isHeld || !Queue.TryPop(_chain);
                    if (!isEmpty)
                    {
                        left--;
                        if (!Queue.IsFresh(_chain) || !HandleOne(ref unsignalled, ref begun))
                        {
                            return false;
                        }
                    }
                    else if (_uncommitted == 0)
                    {
                        if (isHeld)
                        {
                            // Who holds it wakes it again.
                            Tell();
                            return left == 0;
                        }

                        // What was begun in parts is not there any more: should it come again, it begins anew.
                        Volatile.Write(ref _continued, false);
                        Tell();
                        if (TryPollForMore() || !Queue.EnableKicksAndCheckForMore())
                        {
                            return false;
                        }

                        unsignalled = 0;
                        looking = false;
                        continue;
                    }
                }

                if ((begun is not null || isEmpty) && unsignalled > 0 && !_owed.IsOwed && Queue.NeedsInterrupt())
                {
                    _owed.Owe();
                }
            }

            if (begun is not null && !Begin(begun))
            {
                return false;
            }

            bool waits = _continued && begun is null && !HasFinished;
            if (_uncommitted >= commitAfter || (_uncommitted > 0 && (isEmpty || waits)))
            {
                commitAfter = Math.Min(2 * commitAfter, CommittedAtOnce);
                if (!Exchange())
                {
                    return false;
                }
            }
            else if (waits && WaitsBetweenParts())
            {
                // The other queues of the worker have their turn.
                return true;
            }
        }
    }

    // Paused, it goes on with what it has begun: a part that is done cannot be saved.
    private bool MayGoOn => _continued && !IsStopping;

    /// <summary>Handles the chain that was popped.</summary>
    /// <returns>False if there is nothing more to do now.</returns>
    private bool HandleOne(ref int unsignalled, ref DescriptorChain? begun)
    {
        RequestOutcome outcome;
        uint written;
        try
        {
            EnterDevice();
            outcome = Handle(_chain, out written);
        }
        catch
        {
            // Whatever was written is marked by it (MEM-5).
            Queue.UndoPop(_chain);
            throw;
        }

        if (!TryReturnToQueue())
        {
            Queue.UndoPop(_chain);
            return false;
        }

        Volatile.Write(ref _continued, outcome == RequestOutcome.Continue);
        switch (outcome)
        {
            case RequestOutcome.Pending:
                return Keep(out begun);
            case RequestOutcome.Continue or RequestOutcome.Later:
                // Whoever goes on with it pops it again.
                Queue.UndoPop(_chain);
                Tell();
                unsignalled = 0;
                return outcome == RequestOutcome.Continue;
            case RequestOutcome.Done when Queue.IsBroken:
                Queue.UndoPop(_chain);
                return true;
            case RequestOutcome.Done when _inOrder && InFlight != 0:
                return Keep(out DescriptorChain? done) && Settle(done!, written);
            default:
                Queue.Complete(_chain, written);
                Count(ref unsignalled);
                return true;
        }
    }

    private void Count(ref int unsignalled)
    {
        if (++unsignalled >= _tellAfter)
        {
            unsignalled = 0;
            Tell();
        }
    }

    /// <summary>Signals if the driver wants to hear of what was completed.</summary>
    private void Tell()
    {
        bool needed = Queue.NeedsInterrupt();
        if (_owed.TryTake() || needed)
        {
            Queue.Interrupt.Signal();
        }
    }

    private bool WaitsBetweenParts()
    {
        LeaveQueue();
        bool waited = WaitBetweenParts();
        return !TryReturnToQueue() || waited;
    }
}
