using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves one running queue on a worker of a <see cref="WorkerDevice"/>: from the kick to the broken ring that needs a reset.</summary>
/// <remarks>
/// <para>
/// Base for queues whose chains are filled when the device has something, as those of received packets. Where each chain is a request, derive from
/// <see cref="RequestHandler"/>, which pops and completes them.
/// </para>
/// <para>
/// Everything runs on the worker, except where a member says otherwise, and must not wait: a shared worker has other queues. Work is done in
/// portions, so that it gets round to them, and in stays in guest memory that are short, so that RAM can be removed and a stop is not kept waiting.
/// A handler that was stopped can be started again, unless it left requests behind.
/// </para>
/// <para>
/// The worker says where it is before it touches the queue and then looks whether the queue was taken away; who takes it away says so, has every
/// processor pass a barrier, and then looks where the worker is. One of the two sees the other, and the worker pays for no barrier.
/// </para>
/// </remarks>
public abstract class QueueHandler : IPolledWork
{
    // Where the worker is: not at the queue (also while a request is being begun), at it, or in the device's code for a chain of it.
    private const int Outside = 0;
    private const int AtQueue = 1;
    private const int InDevice = 2;

    // Milliseconds that a worker may need for what does not wait, on a host that is busy.
    private const int TimeAtQueue = 1000;

    private readonly List<IWatch> _watches = [];
    private readonly Action _run;
    private readonly Action _takenAway;
    private QueueBinding _binding = null!;
    private DetachedRequests.Hold _hold = null!;
    private Worker? _worker;
    private int _place;
    private int _detached;
    private long _deadline;
    private volatile bool _started;
    private volatile bool _stopping;
    private volatile bool _paused;
    private volatile bool _closed;
    private bool _reported;
    private bool _polled;
    private bool _sleepsNext;

    /// <summary>Makes the handler of a queue that is not served yet.</summary>
    /// <param name="queue">The ring, which belongs to the handler's worker from its start to its stop.</param>
    protected QueueHandler(Virtqueue queue)
    {
        ArgumentNullException.ThrowIfNull(queue);
        Queue = queue;
        _run = Run;
        _takenAway = OnTakenAway;
    }

    /// <summary>The ring.</summary>
    public Virtqueue Queue { get; }

    /// <summary>Requests that have been begun and not ended.</summary>
    public virtual int InFlight => 0;

    /// <summary>True once the queue is to be left as it is, after the request in hand. From any thread.</summary>
    public bool IsStopping => _stopping;

    /// <summary>True while no new request is to be begun.</summary>
    private protected bool IsHeld => _stopping || _paused || _hold.IsHeld;

    /// <summary>True once the queue was taken away while the device's code ran.</summary>
    private protected bool IsClosed => _closed;

    /// <summary>True while a request that was begun in parts is to be gone on with.</summary>
    private protected virtual bool HasPart => false;

    /// <summary>Gives the handler its surroundings, before the first start.</summary>
    internal void Bind(QueueBinding binding)
    {
        _binding = binding;
        _hold = binding.Detached.HoldOf(Queue.Index);
    }

    /// <summary>Begins; what is in the ring already is served without a kick.</summary>
    internal void Start(Worker worker)
    {
        Attach();
        _stopping = false;
        _paused = false;
        _closed = false;
        _detached = 0;
        _worker = worker;
        try
        {
            OnStart();
            _watches.Add(worker.Watch(_binding.Kick, _run));
        }
        catch
        {
            CancelWatches();
            OnTakenAway();
            throw;
        }

        _started = true;
        _binding.Kick.Signal();
    }

    /// <summary>Begins no further request. Returns at once, from any thread.</summary>
    internal void PrepareStop()
    {
        if (!_stopping)
        {
            _deadline = Environment.TickCount64 + (long)_binding.StopLimit.TotalMilliseconds;
            _stopping = true;
        }
    }

    /// <summary>
    /// Ends. Waits for what is in flight, until the limit since <see cref="PrepareStop"/> has passed; what is left then is detached: it completes
    /// nothing any more, and its memory stays pinned until it ends. Not from the queue's own work.
    /// </summary>
    internal void Stop()
    {
        PrepareStop();
        if (!_started)
        {
            return;
        }

        _ = WaitUntilQuiet(_deadline);
        _started = false;
        CancelWatches();
        _closed = true;
        Interlocked.MemoryBarrierProcessWide();
        Silence();

        // At the queue nothing waits. Should a handler do so all the same, the ring is put out of its reach.
        if (!WaitUntil(static handler => Volatile.Read(ref handler._place) != AtQueue, Environment.TickCount64 + TimeAtQueue))
        {
            Queue.Revoke();
            AddDetached();
            return;
        }

        DetachOnce();
        if (!AddDetached() && Volatile.Read(ref _place) == Outside)
        {
            OnStop();
        }
        else
        {
            _worker!.Post(_takenAway);
        }
    }

    /// <summary>Begins no new request, and waits until none is in flight. From any thread but the worker.</summary>
    /// <param name="deadline">Until when, on the clock of <see cref="Environment.TickCount64"/>.</param>
    /// <returns>False if some are; it stays so until <see cref="Resume"/> either way.</returns>
    internal bool TryDrain(long deadline)
    {
        _paused = true;
        return !_started || WaitUntilQuiet(deadline);
    }

    /// <summary>Goes on after <see cref="TryDrain"/>.</summary>
    internal void Resume()
    {
        _paused = false;
        if (_started)
        {
            _binding.Kick.Signal();
        }
    }

    /// <summary>Has the worker look at the queue: for who has something to do with it that the driver did not tell. From any thread, at any time.</summary>
    protected internal void Wake() => _worker?.Post(_run);

    /// <summary>Runs a portion of work: for who waits for something else than the driver. On the worker.</summary>
    protected internal void Run()
    {
        // A watch may fire while the others are still being made.
        if (!_started || !TryReturnToQueue())
        {
            return;
        }

        // Only a portion that ends for want of requests asks for it again.
        _polled = false;
        try
        {
            // Paused, it goes on with what it has begun in parts.
            if (Serve() && !_stopping && (!_paused || HasPart) && !Queue.IsBroken)
            {
                _binding.Kick.Signal();
            }
        }
        catch (Exception failure) when (!_closed)
        {
            Fail(failure);
            if (InFlight != 0)
            {
                // What was handed to the device and not begun yet is begun, so that it ends.
                _binding.Kick.Signal();
            }
        }
        catch (Exception failure)
        {
            // The device goes on without this queue, perhaps with another in its place: it does not need a reset for what this one did late.
            _binding.OnLateFailure(this, failure);
        }
        finally
        {
            LeaveQueue();
        }

        if (_closed)
        {
            // Taken away from under its hands: it lets go itself, also of what it has begun to watch since.
            CancelWatches();
            DetachOnce();
            OnTakenAway();
            return;
        }

        if (Queue.IsBroken)
        {
            ReportBroken(null);
        }
    }

    /// <inheritdoc/>
    bool IPolledWork.Poll()
    {
        if (!_polled || !_worker!.IsCurrent || !_started || !TryReturnToQueue())
        {
            return false;
        }

        bool found;
        try
        {
            found = HasWork();
        }
        catch (Exception)
        {
            // An embedder's translator: whoever serves the queue meets it again, and knows what to do.
            found = true;
        }

        LeaveQueue();
        if (found)
        {
            Run();
        }

        return found;
    }

    /// <inheritdoc/>
    void IPolledWork.EndPoll()
    {
        if (_polled && _worker!.IsCurrent)
        {
            _sleepsNext = true;
            Run();
            _sleepsNext = false;
        }
    }

    /// <summary>Watches a descriptor, level-triggered, until the handler stops. Not before <see cref="OnStart"/>.</summary>
    /// <param name="descriptor">A descriptor that can be polled.</param>
    /// <param name="onReadable">Runs on the worker while it is readable: reads, switches the watch off, or calls <see cref="Run"/>.</param>
    protected IWatch WatchReadable(int descriptor, Action onReadable)
    {
        IWatch watch = _worker!.WatchReadable(descriptor, onReadable);
        lock (_watches)
        {
            _watches.Add(watch);
        }

        return watch;
    }

    /// <summary>Watches a descriptor as <see cref="WatchReadable"/> does, until the handler disposes the watch: a stop does not end it.</summary>
    private protected IWatch WatchBeyondStop(int descriptor, Action onReadable) => _worker!.WatchReadable(descriptor, onReadable);

    /// <summary>The queue is about to be served: watches what else brings work. On the thread that starts it, before the worker looks at the queue.</summary>
    protected virtual void OnStart()
    {
    }

    /// <summary>
    /// The queue has stopped with nothing in flight: gives back what is popped, in a scope. On the thread that stops it; the worker does not touch
    /// the queue any more.
    /// </summary>
    protected virtual void OnStop()
    {
    }

    /// <summary>Does a portion of work, inside scopes of the queue that are no longer than need be.</summary>
    /// <returns>True if there is more to do now.</returns>
    protected abstract bool Serve();

    /// <summary>
    /// Whether there is something for <see cref="Serve"/>, for a worker that looks for it before it sleeps; cheap. What was found broken counts.
    /// </summary>
    private protected virtual bool HasWork() => false;

    /// <summary>
    /// Has the worker look for work (<see cref="HasWork"/>) for as long as it finds that worth while, instead of being told of it. From
    /// <see cref="Serve"/>, which is called again before the worker sleeps.
    /// </summary>
    /// <returns>False if the worker wants to be told.</returns>
    private protected bool TryPollForMore() => _polled = !_sleepsNext && !Queue.IsBroken && _worker!.TryPoll(this);

    /// <summary>Says that the worker goes to the queue.</summary>
    /// <returns>False if it was taken away.</returns>
    private protected bool TryReturnToQueue()
    {
        Volatile.Write(ref _place, AtQueue);
        if (!_closed)
        {
            return true;
        }

        LeaveQueue();
        return false;
    }

    /// <summary>Says that the worker is not at the queue for a while that may be long.</summary>
    private protected void LeaveQueue() => Volatile.Write(ref _place, Outside);

    /// <summary>Says that the worker is in the device's code, for a chain.</summary>
    private protected void EnterDevice() => Volatile.Write(ref _place, InDevice);

    /// <summary>The queue is about to be served, from the start.</summary>
    private protected virtual void Attach()
    {
    }

    /// <summary>Nothing but the worker signals for the queue any more when this returns. On the thread that stops it.</summary>
    private protected virtual void Silence()
    {
    }

    /// <summary>The queue was taken away: what completes from now on does so here. On the thread that stops it.</summary>
    private protected virtual void Detach()
    {
    }

    /// <summary>
    /// The queue was taken away with something in flight, or under the worker's hands: what only the worker can end is gone on with here. On the
    /// worker, which lives until the last request that was left behind has ended; may be called again, and at the same time as <see cref="OnStop"/>.
    /// </summary>
    private protected virtual void OnTakenAway()
    {
    }

    /// <returns>False if nothing is in flight.</returns>
    private bool AddDetached()
    {
        if (InFlight == 0)
        {
            return false;
        }

        _binding.Detached.Add(this);
        _binding.OnDetached(this);
        return true;
    }

    private void DetachOnce()
    {
        if (Interlocked.Exchange(ref _detached, 1) == 0)
        {
            Detach();
        }
    }

    /// <summary>The last request that was left behind has ended. From any thread.</summary>
    private protected void EndDetached() => _binding.Detached.Remove(this);

    /// <summary>The device's code threw: the queue cannot go on.</summary>
    private protected void Fail(Exception failure)
    {
        Queue.MarkBroken($"the device failed: {failure.Message}");
        ReportBroken(failure);
    }

    private void ReportBroken(Exception? failure)
    {
        if (!_reported)
        {
            _reported = true;
            _binding.Host.NeedsReset($"queue {Queue.Index}: {Queue.BrokenReason}", failure);
        }
    }

    private bool WaitUntilQuiet(long deadline)
    {
        // Whoever has not seen yet that nothing is to be begun is seen at the queue.
        Interlocked.MemoryBarrierProcessWide();
        return WaitUntil(
            static handler => Volatile.Read(ref handler._place) == Outside && handler.InFlight == 0 && (handler._stopping || !handler.HasPart),
            deadline);
    }

    private bool WaitUntil(Func<QueueHandler, bool> condition, long deadline)
    {
        var wait = default(PollingWait);
        while (!condition(this))
        {
            if (Environment.TickCount64 >= deadline)
            {
                return false;
            }

            wait.Once();
        }

        return true;
    }

    private void CancelWatches()
    {
        // Not waited for: a callback that runs finds the queue closed, and may be in a request that takes its time.
        lock (_watches)
        {
            _watches.ForEach(static watch => watch.Cancel());
            _watches.Clear();
        }
    }
}
