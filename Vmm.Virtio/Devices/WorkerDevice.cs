using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.State;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>
/// A device that serves its queues on workers of its own, one unless it asks for more: a device author gives features, configuration, and a
/// <see cref="QueueHandler"/> for each queue.
/// </summary>
/// <remarks>
/// Workers live from the first <see cref="Start"/> to the end of the device, and of the requests that it has left behind. One that is in a request
/// which does not end serves its queue's next life when it has; other devices, and this one's reset, do not wait for it
/// (<see cref="VirtioDeviceOptions.StopLimit"/>).
/// </remarks>
public abstract class WorkerDevice : VirtioDevice
{
    private readonly QueueHandler?[] _handlers;
    private readonly Virtqueue?[] _rings;
    private readonly ushort[] _queueSizes;
    private readonly DetachedRequests _detached;

    // Replaced as a whole, so that an inspection may look at any time.
    private volatile Worker[] _workers = [];
    private IVirtioDeviceHost? _host;
    private ulong _features;

    /// <summary>Makes a device that is not started.</summary>
    /// <param name="options">Options that every device has.</param>
    /// <param name="queueCount">Queues, at least 1.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    protected WorkerDevice(VirtioDeviceOptions options, int queueCount)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(queueCount, 1);
        options.Validate();
        Options = options;
        _handlers = new QueueHandler?[queueCount];
        _rings = new Virtqueue?[queueCount];
        _queueSizes = new ushort[queueCount];
        Array.Fill(_queueSizes, options.QueueSize);
        _detached = new DetachedRequests(queueCount, WakeAll);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<ushort> QueueSizes => _queueSizes;

    /// <summary>True: a handler puts what it completes into the ring in the order in which it was popped, where that was negotiated.</summary>
    public override bool CompletesInOrder => true;

    /// <summary>Negotiated feature bits; 0 before that and after a reset. From any thread.</summary>
    public ulong Features => Volatile.Read(ref _features);

    /// <summary>The options that the device was made with.</summary>
    protected VirtioDeviceOptions Options { get; }

    /// <summary>The ring features that the options ask for, to be offered with the device's own.</summary>
    protected ulong OfferedRingFeatures => Options.OfferedRingFeatures;

    /// <summary>The transport, while the device runs.</summary>
    protected IVirtioDeviceHost? Host => _host;

    /// <inheritdoc/>
    public override void OnFeaturesNegotiated(ulong features) => Volatile.Write(ref _features, features);

    /// <inheritdoc/>
    public override void Start(ulong features, IVirtioDeviceHost host)
    {
        ArgumentNullException.ThrowIfNull(host);
        StopAll();
        Volatile.Write(ref _features, features);
        OnStart(features);
        _host = host;
        int count = WorkerCount;
        for (int i = 0; i < count; i++)
        {
            EnsureWorker(i);
        }
    }

    /// <inheritdoc/>
    public override bool TryStartQueue(QueueResources queue, [NotNullWhen(false)] out string? reason)
    {
        ArgumentNullException.ThrowIfNull(queue);
        IVirtioDeviceHost host = _host ?? throw new InvalidOperationException("a queue is started after the device");
        int index = queue.Configuration.Index;
        StopQueue(index);
        if (!Virtqueue.TryCreate(queue, out Virtqueue? ring, out reason))
        {
            return false;
        }

        _rings[index] = ring;
        QueueHandler? handler = CreateHandler(index, ring);
        _handlers[index] = handler;
        if (handler is not null)
        {
            handler.Bind(new QueueBinding(queue.Kick, host, _detached, Options.StopLimit, ReportDetached, ReportLateFailure));
            StartHandler(index, handler, _workers[WorkerOf(index)]);
        }

        return true;
    }

    /// <inheritdoc/>
    public override void PrepareStop(int index) => _handlers[index]?.PrepareStop();

    /// <inheritdoc/>
    public override VirtqueueState? StopQueue(int index)
    {
        if (_handlers[index] is { } handler)
        {
            StopHandler(index, handler);
            _handlers[index] = null;
        }

        VirtqueueState? state = _rings[index]?.Save();
        _rings[index] = null;
        return state;
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        StopAll();
        _host = null;
        Volatile.Write(ref _features, 0);
        OnReset();
    }

    /// <inheritdoc/>
    public override bool TryDrain(TimeSpan limit)
    {
        long deadline = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        bool drained = true;
        foreach (QueueHandler? handler in _handlers)
        {
            drained &= handler is null || handler.TryDrain(deadline);
        }

        return drained && !_detached.Any;
    }

    /// <inheritdoc/>
    public override void Resume()
    {
        foreach (QueueHandler? handler in _handlers)
        {
            handler?.Resume();
        }
    }

    /// <inheritdoc/>
    public override void Inspect(InspectionNode node)
    {
        base.Inspect(node);
        node.Add("polled in vain ms", (long)_workers.Sum(static worker => worker.PollTime.TotalMilliseconds));
        for (int i = 0; i < _rings.Length; i++)
        {
            if (Volatile.Read(ref _rings[i]) is { } ring)
            {
                InspectionNode part = node.AddPart("ring" + i.ToString(CultureInfo.InvariantCulture));
                VirtqueueState place = ring.Save();
                part.AddBits("available", place.AvailableIndex, 2);
                part.AddBits("used", place.UsedIndex, 2);
                part.Add("in flight", Volatile.Read(ref _handlers[i])?.InFlight ?? 0);
                part.Add("broken", ring.BrokenReason ?? "no");
            }
        }
    }

    /// <summary>Workers that the negotiated features call for, at least 1.</summary>
    protected virtual int WorkerCount => 1;

    /// <summary>Which worker serves a queue.</summary>
    /// <param name="index">Queue index.</param>
    /// <returns>Less than <see cref="WorkerCount"/>.</returns>
    protected virtual int WorkerOf(int index) => 0;

    /// <summary>Makes what serves a queue, or null for one that has no use with the negotiated features.</summary>
    /// <param name="index">Queue index.</param>
    /// <param name="queue">The ring.</param>
    protected abstract QueueHandler? CreateHandler(int index, Virtqueue queue);

    /// <summary>The device begins, with no queue yet. An exception sets DEVICE_NEEDS_RESET (VTP-6).</summary>
    /// <param name="features">Negotiated feature bits.</param>
    protected virtual void OnStart(ulong features)
    {
    }

    /// <summary>Everything negotiated is forgotten; the queues have stopped. Also before the first start.</summary>
    protected virtual void OnReset()
    {
    }

    private protected virtual void StartHandler(int index, QueueHandler handler, Worker worker) => handler.Start(worker);

    private protected virtual void StopHandler(int index, QueueHandler handler) => handler.Stop();

    /// <summary>Runs an action when no request of any queue is in flight any more: at once, or on the thread that ends the last.</summary>
    private protected void WhenNoneDetached(Action action) => _detached.WhenNone(action);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Reset();
            EndWorkers();
        }

        base.Dispose(disposing);
    }

    private void StopAll()
    {
        for (int i = 0; i < _handlers.Length; i++)
        {
            PrepareStop(i);
        }

        for (int i = 0; i < _handlers.Length; i++)
        {
            StopQueue(i);
        }

        _detached.BeginLife();
    }

    /// <summary>Ends the workers; where requests were left behind, when the last has ended: it may be a worker that ends them.</summary>
    private void EndWorkers()
    {
        Worker[] workers = _workers;
        _workers = [];
        if (_detached.Any)
        {
            // On a thread of its own, since a worker does not wait for itself.
            WhenNoneDetached(() => ThreadPool.UnsafeQueueUserWorkItem(static workers => End(workers, TimeSpan.Zero), workers, preferLocal: false));
        }
        else
        {
            End(workers, Options.StopLimit);
        }
    }

    private static void End(Worker[] workers, TimeSpan limit)
    {
        long deadline = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        foreach (Worker worker in workers)
        {
            worker.TryDispose(TimeSpan.FromMilliseconds(Math.Max(0, deadline - Environment.TickCount64)));
        }
    }

    private void EnsureWorker(int index)
    {
        Worker[] workers = _workers;
        if (index < workers.Length && !workers[index].HasEnded)
        {
            return;
        }

        var worker = new Worker(Options.ThreadNameOf(DeviceType, index)) { PollLimit = Options.PollLimit };
        worker.Faulted += failure => _host?.NeedsReset($"the worker failed: {failure.Message}", failure);
        try
        {
            worker.Start();
        }
        catch
        {
            // One without a thread is not kept, or the next life would be given to it.
            worker.Dispose();
            throw;
        }

        if (index < workers.Length)
        {
            workers[index].Dispose();
            _workers = [.. workers[..index], worker, .. workers[(index + 1)..]];
        }
        else
        {
            _workers = [.. workers, worker];
        }
    }

    private void ReportDetached(QueueHandler handler)
    {
        Log.RequestsDetached(Options.Logger, Options.NameOf(DeviceType), handler.Queue.Index, handler.InFlight);
    }

    private void ReportLateFailure(QueueHandler handler, Exception failure)
    {
        Log.FormerQueueFailed(Options.Logger, failure, Options.NameOf(DeviceType), handler.Queue.Index);
    }

    /// <summary>Has every running queue looked at: what kept some from going on may be over. From any thread.</summary>
    private protected void WakeAll()
    {
        foreach (QueueHandler? handler in _handlers)
        {
            handler?.Wake();
        }
    }
}
