using System;
using System.Threading;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <content>Requests that are in flight: from the chain that is kept to the one that completes.</content>
/// <remarks>
/// Whoever completes a request puts its chain on a list that the worker takes as a whole; the first on it wakes the worker. The list is closed when
/// the queue is taken away: what completes then is let go of by who completes it.
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

    private static readonly DescriptorChain Closed = new(1, 1);

    // Completed by other threads and not looked at yet, the latest first.
    private DescriptorChain? _completed;

    // The worker's own: completed and to be answered, in order of completion.
    private DescriptorChain? _firstFinished;
    private DescriptorChain? _lastFinished;

    // Chains to be used again.
    private DescriptorChain[] _spare = [];
    private int _spareCount;

    // Where the ring is to have its completions in order: chains as they were popped, from _oldest on.
    private DescriptorChain[] _order = [];
    private int _oldest;
    private int _ordered;

    private DescriptorChain? _lastKept;
    private int _inFlight;

    /// <inheritdoc/>
    public sealed override int InFlight => Volatile.Read(ref _inFlight);

    private bool HasFinished => _firstFinished is not null;

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
                    Push(chain);
                }

                // Otherwise the worker sees it when Submit returns.
                return;
            }
        }
    }

    private protected sealed override void Attach()
    {
        if (InFlight != 0)
        {
            throw new InvalidOperationException("a handler that left requests behind is not started again");
        }

        _continued = false;
        Volatile.Write(ref _completed, null);
    }

    private protected sealed override void Detach()
    {
        // Done, and waiting for those before them: nobody ends these any more.
        for (; _ordered > 0; _ordered--)
        {
            DescriptorChain chain = _order[_oldest];
            _oldest = (_oldest + 1) % _order.Length;
            if (chain.Progress == Settled)
            {
                LetGo(chain);
            }
        }

        DescriptorChain? completed = Interlocked.Exchange(ref _completed, Closed);
        while (completed is not null && completed != Closed)
        {
            DescriptorChain? next = completed.Next;
            LetGo(completed);
            completed = next;
        }
    }

    private void Push(DescriptorChain chain)
    {
        while (true)
        {
            DescriptorChain? head = Volatile.Read(ref _completed);
            if (head == Closed)
            {
                LetGo(chain);
                return;
            }

            chain.Next = head;
            if (Interlocked.CompareExchange(ref _completed, chain, head) == head)
            {
                if (head is null)
                {
                    Wake();
                }

                return;
            }
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
            if (_order.Length == 0)
            {
                _order = new DescriptorChain[Queue.Size];
            }

            _order[(_oldest + _ordered) % _order.Length] = chain;
            _ordered++;
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
            AddFinished(chain);
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

    /// <summary>Answers and completes what has ended, some of it.</summary>
    /// <param name="unsignalled">Completions that the driver has not heard of.</param>
    /// <param name="again">A request that is to be submitted once more.</param>
    /// <returns>False if the queue was taken away meanwhile.</returns>
    private bool FinishAll(ref int unsignalled, ref DescriptorChain? again)
    {
        bool came = TakeCompleted();
        if (_ordered > 0 && Queue.IsBroken)
        {
            GiveBackSettled();
        }

        for (int left = AnswersAtOnce; left > 0 && again is null && _firstFinished is { } chain; left--)
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

            RemoveFirstFinished();
            switch (outcome)
            {
                case var _ when Queue.IsBroken:
                    GiveBack(chain);
                    break;
                case RequestOutcome.Pending:
                    again = chain;
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
            Queue.SignalIfNeeded();
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
        while (_ordered > 0 && _order[_oldest] is { Progress: Settled } oldest)
        {
            _oldest = (_oldest + 1) % _order.Length;
            _ordered--;
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
            _ordered--;
        }

        Recycle(chain);
    }

    /// <summary>Gives up what waits for its turn in a ring that is broken.</summary>
    private void GiveBackSettled()
    {
        for (; _ordered > 0; _ordered--)
        {
            DescriptorChain chain = _order[_oldest];
            _oldest = (_oldest + 1) % _order.Length;
            if (chain.Progress == Settled)
            {
                GiveBack(chain);
            }
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
        Interlocked.Decrement(ref _inFlight);
    }

    /// <summary>Takes what other threads have completed.</summary>
    /// <returns>True if there was something.</returns>
    private bool TakeCompleted()
    {
        if (Volatile.Read(ref _completed) is null)
        {
            return false;
        }

        // Not while it is closed: that happens when the worker is not at the queue.
        DescriptorChain? chain = Interlocked.Exchange(ref _completed, null);
        DescriptorChain? reversed = null;
        while (chain is not null)
        {
            DescriptorChain? next = chain.Next;
            chain.Next = reversed;
            reversed = chain;
            chain = next;
        }

        while (reversed is not null)
        {
            DescriptorChain? next = reversed.Next;
            AddFinished(reversed);
            reversed = next;
        }

        return true;
    }

    private void AddFinished(DescriptorChain chain)
    {
        chain.Next = null;
        if (_firstFinished is null)
        {
            _firstFinished = chain;
        }
        else
        {
            _lastFinished!.Next = chain;
        }

        _lastFinished = chain;
    }

    private void RemoveFirstFinished()
    {
        DescriptorChain chain = _firstFinished!;
        _firstFinished = chain.Next;
        chain.Next = null;
    }

    private void LetGoOfFinished()
    {
        while (_firstFinished is { } chain)
        {
            RemoveFirstFinished();
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
