using System;
using System.Threading;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <content>Requests that are in flight: from the chain that is kept to the one that completes.</content>
/// <remarks>
/// A chain that is kept is with the device until it is completed, then it is finished: to be answered, which may send it to the device once more. The
/// answered ones go into the ring before another is given to the device, which may take long.
/// </remarks>
public abstract partial class RequestHandler
{
    private const int Idle = 0;
    private const int Submitting = 1;
    private const int Submitted = 2;
    private const int Completed = 3;
    private const int Settled = 4;

    // Chains that are answered in one stay.
    private const int AnswersAtOnce = 16;

    // Completed by other threads and not looked at yet.
    private CompletedChains _completed;

    // The worker's own: completed and to be answered, and answered with another step to come; both in order of completion.
    private ChainList _finished;
    private ChainList _resubmitted;

    // Chains to be used again.
    private DescriptorChain[] _spare = [];
    private int _spareCount;

    // Where the ring is to have its completions in order.
    private PopOrder _order;

    private DescriptorChain? _lastKept;
    private int _inFlight;

    // Submitted since the last commit, and not ended by then.
    private int _uncommitted;

    /// <inheritdoc/>
    public sealed override int InFlight => Volatile.Read(ref _inFlight);

    private bool HasFinished => _finished.First is not null;

    /// <summary>Ends a request that was submitted, once. From any thread, also before <see cref="Submit"/> has returned.</summary>
    /// <param name="chain">The request. Its memory may go when this has been called.</param>
    /// <param name="written">Bytes written from the start of its writable part.</param>
    /// <exception cref="InvalidOperationException">The request is not in flight.</exception>
    protected void Complete(DescriptorChain chain, uint written)
    {
        ArgumentNullException.ThrowIfNull(chain);
        while (true)
        {
            int progress = Volatile.Read(ref chain.Progress);
            if (progress is not (Submitting or Submitted))
            {
                throw new InvalidOperationException("a request that is not in flight was completed");
            }

            chain.Written = written;
            if (Interlocked.CompareExchange(ref chain.Progress, Completed, progress) == progress)
            {
                if (progress == Submitted)
                {
                    HandOver(chain);
                }

                // Otherwise the worker sees it when Submit returns.
                return;
            }
        }
    }

    /// <summary>Ends a request that was submitted, once, as <see cref="Complete"/> does; inside <see cref="Commit"/>, and cheaper.</summary>
    /// <param name="chain">The request.</param>
    /// <param name="written">Bytes written from the start of its writable part.</param>
    /// <exception cref="InvalidOperationException">The request is not in flight.</exception>
    protected void CompleteHere(DescriptorChain chain, uint written)
    {
        ArgumentNullException.ThrowIfNull(chain);
        if (Volatile.Read(ref chain.Progress) != Submitted)
        {
            throw new InvalidOperationException("a request that is not in flight was completed");
        }

        chain.Written = written;
        chain.Progress = Completed;
        _finished.Add(chain);
    }

    private protected sealed override void Attach()
    {
        if (InFlight != 0)
        {
            throw new InvalidOperationException("a handler that left requests behind is not started again");
        }

        _continued = false;
        _completed.Open();
        _owed.Open();
    }

    private protected sealed override void Silence() => _owed.Close();

    private protected override void OnTakenAway() => LetGoOfFinished();

    private protected sealed override void Detach()
    {
        // Done, and waiting for those before them: nobody ends these any more.
        for (; _order.Count > 0; _order.RemoveOldest())
        {
            if (_order.Oldest is { Progress: Settled } chain)
            {
                LetGo(chain);
            }
        }

        DescriptorChain? completed = _completed.Close();
        while (completed is not null)
        {
            DescriptorChain? next = completed.Next;
            LetGo(completed);
            completed = next;
        }
    }

    /// <summary>Gives a chain that was completed to the worker, or lets go of it where there is none any more.</summary>
    private void HandOver(DescriptorChain chain)
    {
        if (!_completed.TryAdd(chain, out bool isFirst))
        {
            LetGo(chain);
        }
        else if (isFirst)
        {
            Wake();
        }
    }

    /// <summary>Keeps the chain that was popped, and has another at hand for the next.</summary>
    private bool Keep(out DescriptorChain? kept)
    {
        kept = null;
        DescriptorChain chain = _chain;
        if (!Queue.TryKeep(chain))
        {
            return false;
        }

        kept = chain;
        _lastKept = chain;
        Interlocked.Increment(ref _inFlight);
        if (_inOrder)
        {
            _order.Add(chain, Queue.Size);
        }

        _chain = _spareCount > 0 ? _spare[--_spareCount] : new DescriptorChain();
        return true;
    }

    /// <summary>Has the device begin a request, outside of guest memory and away from the queue.</summary>
    /// <returns>False if the queue was taken away meanwhile.</returns>
    private bool Begin(DescriptorChain chain)
    {
        Volatile.Write(ref chain.Progress, Submitting);
        LeaveQueue();
        Exception? failure = null;
        try
        {
            Submit(chain);
        }
        catch (Exception thrown)
        {
            // It counts as ended, and the ring goes on no more.
            failure = thrown;
            Volatile.Write(ref chain.Progress, Completed);
        }

        if (Interlocked.CompareExchange(ref chain.Progress, Submitted, Submitting) != Submitting)
        {
            _finished.Add(chain);
        }
        else
        {
            _uncommitted++;
        }

        if (!TryReturnToQueue())
        {
            LetGoOfFinished();
            return false;
        }

        if (failure is not null)
        {
            Fail(failure);
        }

        return true;
    }

    /// <summary>
    /// Has the device begin what it was given, and say what has ended; outside of guest memory. The worker is in the device meanwhile, not away: with
    /// nothing in flight a stop waits for it all the same, before it closes what the device has for the queue.
    /// </summary>
    /// <returns>False if the queue was taken away meanwhile.</returns>
    private bool Exchange()
    {
        _uncommitted = 0;
        EnterDevice();
        if (!IsClosed)
        {
            Commit();
        }

        if (!TryReturnToQueue())
        {
            LetGoOfFinished();
            return false;
        }

        _tellAfter = _signalEvery == 1 ? 1 : Math.Clamp(InFlight / ToldInPartsOf, _signalEvery, Math.Max(_signalEvery, ToldAtOnce));
        return true;
    }

    /// <summary>Answers and completes what has ended, some of it.</summary>
    /// <param name="unsignalled">Completions that the driver has not heard of.</param>
    /// <returns>False if the queue was taken away meanwhile.</returns>
    private bool FinishSome(ref int unsignalled)
    {
        bool came = _completed.TryTake(ref _finished);
        if (Queue.IsBroken)
        {
            GiveUpBroken();
        }

        for (int left = AnswersAtOnce; left > 0 && _finished.First is { } chain; left--)
        {
            RequestOutcome outcome = RequestOutcome.Done;
            if (!Queue.IsBroken && !TryFinish(chain, out outcome))
            {
                LetGoOfFinished();
                return false;
            }

            if (outcome == RequestOutcome.Continue)
            {
                break;
            }

            _finished.Take();
            switch (outcome)
            {
                case var _ when Queue.IsBroken:
                    GiveBack(chain);
                    break;
                case RequestOutcome.Pending:
                    _resubmitted.Add(chain);
                    break;
                case RequestOutcome.Later:
                    GiveBack(chain);
                    break;
                default:
                    Settle(chain, chain.Written);
                    Count(ref unsignalled);
                    break;
            }
        }

        if (came)
        {
            unsignalled = 0;
            Tell();
        }

        return true;
    }

    /// <summary>Has the device answer a request.</summary>
    /// <returns>False if the queue was taken away meanwhile.</returns>
    private bool TryFinish(DescriptorChain chain, out RequestOutcome outcome)
    {
        outcome = RequestOutcome.Done;
        EnterDevice();
        try
        {
            outcome = Finish(chain, ref chain.Written);
            if (outcome == RequestOutcome.Later && !(IsStopping && chain == _lastKept))
            {
                throw new InvalidOperationException("a request that was completed is not done later");
            }
        }
        catch (Exception failure)
        {
            // Of a queue that was taken away meanwhile nobody hears any more, and what it left is let go of all the same.
            if (!IsClosed)
            {
                Fail(failure);
            }
        }

        return TryReturnToQueue();
    }

    /// <summary>Puts a request that is done into the ring, or behind those that come before it.</summary>
    private bool Settle(DescriptorChain chain, uint written)
    {
        chain.Written = written;
        if (!_inOrder)
        {
            PutIntoRing(chain);
            return true;
        }

        chain.Progress = Settled;
        while (_order.Count > 0 && _order.Oldest is { Progress: Settled } oldest)
        {
            _order.RemoveOldest();
            PutIntoRing(oldest);
        }

        return true;
    }

    private void PutIntoRing(DescriptorChain chain)
    {
        Queue.Release(chain);
        Queue.Complete(chain, chain.Written);
        Recycle(chain);
    }

    /// <summary>
    /// Puts a request back into the ring: one that a stop has cut short, which is the one that was popped last, or any of a ring that is broken.
    /// </summary>
    private void GiveBack(DescriptorChain chain)
    {
        Queue.Release(chain);
        Queue.UndoPop(chain);
        if (_inOrder && !Queue.IsBroken)
        {
            _order.RemoveLatest();
        }

        Recycle(chain);
    }

    /// <summary>Gives up what waits for its turn in a ring that is broken, or for another step.</summary>
    private void GiveUpBroken()
    {
        for (; _order.Count > 0; _order.RemoveOldest())
        {
            if (_order.Oldest is { Progress: Settled } chain)
            {
                GiveBack(chain);
            }
        }

        while (_resubmitted.Take() is { } chain)
        {
            GiveBack(chain);
        }
    }

    private void Recycle(DescriptorChain chain)
    {
        chain.Progress = Idle;
        if (_spareCount == _spare.Length)
        {
            Array.Resize(ref _spare, Math.Max(4, _spare.Length * 2));
        }

        _spare[_spareCount++] = chain;
        if (Interlocked.Decrement(ref _inFlight) == 0 && IsClosed)
        {
            // Taken away from under the worker's hands, which has ended the last of them all the same.
            EndDetached();
        }
    }

    private void LetGoOfFinished()
    {
        while ((_finished.Take() ?? _resubmitted.Take()) is { } chain)
        {
            LetGo(chain);
        }
    }

    /// <summary>Ends a request whose queue has gone.</summary>
    private void LetGo(DescriptorChain chain)
    {
        Queue.Abandon(chain);
        if (Interlocked.Decrement(ref _inFlight) == 0)
        {
            EndDetached();
        }
    }
}
