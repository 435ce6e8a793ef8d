using System;
using System.Collections.Generic;
using System.Threading;

namespace Vmm.Virtio.Devices;

/// <summary>
/// The requests that a device's former queues have left behind, which had not ended when the queue had to stop. A queue that begins anew, and every
/// queue of a device that does, begins its first request when the last of them has ended, so that a late write does not overtake a new one, and a
/// guest that resets again and again does not pile them up. Queues that ran beside the one that was stopped go on: they were in no order with it.
/// </summary>
/// <remarks>Thread-safe. The lock is innermost; actions run outside of it, on the thread that ends the last request.</remarks>
internal sealed class DetachedRequests
{
    private readonly Lock _lock = new();
    private readonly Hold[] _holds;

    // With whether they are of a former life of the device.
    private readonly Dictionary<QueueHandler, bool> _handlers = [];
    private readonly List<Action> _waiting = [];
    private readonly Action _onEnded;
    private int _formerCount;
    private volatile bool _any;

    /// <param name="queueCount">Queues of the device.</param>
    /// <param name="onEnded">Told when a queue has left nothing behind any more.</param>
    public DetachedRequests(int queueCount, Action onEnded)
    {
        _holds = new Hold[queueCount];
        for (int i = 0; i < queueCount; i++)
        {
            _holds[i] = new Hold();
        }

        _onEnded = onEnded;
    }

    /// <summary>Whether there are any.</summary>
    public bool Any => _any;

    /// <summary>Whether a queue is held up, to be looked at for every request.</summary>
    /// <param name="index">Queue index.</param>
    public Hold HoldOf(int index) => _holds[index];

    /// <summary>A queue has stopped and has requests in flight, unless the last of them has ended by now.</summary>
    public void Add(QueueHandler handler)
    {
        lock (_lock)
        {
            if (handler.InFlight != 0 && _handlers.TryAdd(handler, false))
            {
                Hold hold = _holds[handler.Queue.Index];
                hold.Count++;
                hold.IsHeld = true;
                _any = true;
            }
        }
    }

    /// <summary>All queues have stopped, and the driver forgets what it has asked for: whatever is left holds up all of them.</summary>
    public void BeginLife()
    {
        lock (_lock)
        {
            foreach (QueueHandler handler in (QueueHandler[])[.. _handlers.Keys])
            {
                _handlers[handler] = true;
            }

            _formerCount = _handlers.Count;
            Array.ForEach(_holds, hold => hold.IsHeld = _formerCount != 0);
        }
    }

    /// <summary>A queue that has stopped has none in flight any more.</summary>
    public void Remove(QueueHandler handler)
    {
        Action[] waiting = [];
        lock (_lock)
        {
            if (!_handlers.Remove(handler, out bool former))
            {
                return;
            }

            _holds[handler.Queue.Index].Count--;
            _formerCount -= former ? 1 : 0;
            Array.ForEach(_holds, hold => hold.IsHeld = _formerCount != 0 || hold.Count != 0);
            if (_handlers.Count == 0)
            {
                _any = false;
                waiting = [.. _waiting];
                _waiting.Clear();
            }
        }

        _onEnded();
        Array.ForEach(waiting, static action => action());
    }

    /// <summary>Runs an action when there are none: at once, or on the thread that ends the last.</summary>
    public void WhenNone(Action action)
    {
        lock (_lock)
        {
            if (_any)
            {
                _waiting.Add(action);
                return;
            }
        }

        action();
    }

    /// <summary>Whether one queue is held up.</summary>
    internal sealed class Hold
    {
        private volatile bool _isHeld;

        /// <summary>True while no request of the queue is to be begun. From any thread.</summary>
        public bool IsHeld
        {
            get => _isHeld;
            set => _isHeld = value;
        }

        /// <summary>Handlers of the queue that have left requests behind. Under the lock.</summary>
        public int Count { get; set; }
    }
}
