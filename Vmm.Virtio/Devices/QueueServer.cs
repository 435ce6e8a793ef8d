using System;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves one running queue on a worker: from the kick to the broken ring that needs a reset.</summary>
/// <remarks>
/// <see cref="Start"/> and <see cref="Stop"/> come from one thread at a time and not from the queue's own work, everything else from the worker.
/// A server that was stopped can be started again. Work is done in portions, so that a shared worker gets round its queues, and in stays in
/// guest memory of one request each, so that RAM can be removed and a stop is not kept waiting.
/// </remarks>
internal abstract class QueueServer
{
    private readonly EventFd _kick;
    private readonly IVirtioDeviceHost _host;
    private IDisposable? _watch;
    private volatile bool _started;
    private volatile bool _stopping;
    private bool _reported;

    protected QueueServer(Virtqueue queue, EventFd kick, IVirtioDeviceHost host)
    {
        Queue = queue;
        _kick = kick;
        _host = host;
    }

    public Virtqueue Queue { get; }

    /// <summary>True once the queue is to be left as it is, after the request in hand.</summary>
    protected bool Stopping => _stopping;

    /// <summary>Begins; what is in the ring already is served without a kick.</summary>
    public void Start(Worker worker)
    {
        _stopping = false;
        OnStart(worker);
        _watch = worker.Watch(_kick, Run);
        _started = true;
        _kick.Signal();
    }

    /// <summary>Takes no further request. Returns at once, from any thread.</summary>
    public void PrepareStop() => _stopping = true;

    /// <summary>Ends; returns when nothing is in flight.</summary>
    public void Stop()
    {
        PrepareStop();
        _started = false;
        _watch?.Dispose();
        _watch = null;
        OnStop();
    }

    /// <summary>Runs a portion of work. On the worker.</summary>
    public void Run()
    {
        // A watch may fire while the others are still being made.
        if (!_started || _stopping)
        {
            return;
        }

        try
        {
            if (Serve() && !_stopping && !Queue.IsBroken)
            {
                _kick.Signal();
            }
        }
        catch (Exception failure)
        {
            Queue.MarkBroken($"the device failed: {failure.Message}");
            ReportBroken(failure);
        }

        if (Queue.IsBroken)
        {
            ReportBroken(null);
        }
    }

    /// <summary>Watches what else brings work. Not on the worker.</summary>
    protected virtual void OnStart(Worker worker)
    {
    }

    /// <summary>Ends other watches; the worker has left the queue or will not touch it again once they are gone.</summary>
    protected virtual void OnStop()
    {
    }

    /// <summary>Does a portion of work, inside scopes of the queue that are no longer than need be.</summary>
    /// <returns>True if there is more to do now.</returns>
    protected abstract bool Serve();

    private void ReportBroken(Exception? failure)
    {
        if (!_reported)
        {
            _reported = true;
            _host.NeedsReset($"queue {Queue.Index}: {Queue.BrokenReason}", failure);
        }
    }
}
