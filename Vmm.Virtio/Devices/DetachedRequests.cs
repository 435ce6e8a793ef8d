using System;
using System.Collections.Generic;
using System.Threading;

namespace Vmm.Virtio.Devices;

/// <summary>
/// What a device's former queues have left behind: requests that had not ended when their queue had to stop. The queues' next life begins its
/// first request when the last of them has ended, so that a late write does not overtake a new one, and a guest that resets again and again does
/// not pile them up.
/// </summary>
/// <remarks>Thread-safe. The lock is innermost; actions run outside of it, on the thread that ends the last request.</remarks>
internal sealed class DetachedRequests
{
    private readonly Lock _lock = new();
    private readonly HashSet<QueueHandler> _handlers = [];
    private readonly List<Action> _waiting = [];
    private readonly Action _onNone;
    private volatile bool _any;

    public DetachedRequests(Action onNone)
    {
        _onNone = onNone;
    }

    /// <summary>Whether there are any.</summary>
    public bool Any => _any;

    /// <summary>A queue has stopped and has requests in flight, unless the last of them has ended by now.</summary>
    public void Add(QueueHandler handler)
    {
        lock (_lock)
        {
            if (handler.InFlight != 0)
            {
                _handlers.Add(handler);
                _any = true;
            }
        }
    }

    /// <summary>A queue that has stopped has none in flight any more.</summary>
    public void Remove(QueueHandler handler)
    {
        Action[] waiting;
        lock (_lock)
        {
            if (!_handlers.Remove(handler) || _handlers.Count != 0)
            {
                return;
            }

            _any = false;
            waiting = [.. _waiting];
            _waiting.Clear();
        }

        _onNone();
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
}
