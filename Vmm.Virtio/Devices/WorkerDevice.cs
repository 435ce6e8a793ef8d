using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>
/// A device that serves its queues on workers of its own, one unless it asks for more; they run from <see cref="Start"/> to <see cref="Reset"/>.
/// </summary>
/// <remarks>Base of this library's devices; others derive from <see cref="VirtioDevice"/> and use a <see cref="Worker"/>.</remarks>
public abstract class WorkerDevice : VirtioDevice
{
    private readonly QueueServer?[] _servers;
    private readonly Virtqueue?[] _rings;
    private readonly ushort[] _queueSizes;
    private readonly List<Worker> _workers = [];
    private IVirtioDeviceHost? _host;

    private protected WorkerDevice(VirtioDeviceOptions options, int queueCount)
    {
        options.Validate();
        Options = options;
        _servers = new QueueServer?[queueCount];
        _rings = new Virtqueue?[queueCount];
        _queueSizes = new ushort[queueCount];
        Array.Fill(_queueSizes, options.QueueSize);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<ushort> QueueSizes => _queueSizes;

    /// <summary>True: a queue has one server, which completes what it popped first before anything else.</summary>
    public override bool CompletesInOrder => true;

    private protected VirtioDeviceOptions Options { get; }

    private protected ulong Features { get; private set; }

    private protected IVirtioDeviceHost? Host => _host;

    /// <inheritdoc/>
    public override void Start(ulong features, IVirtioDeviceHost host)
    {
        ArgumentNullException.ThrowIfNull(host);
        Reset();
        Features = features;
        OnStart(features);
        _host = host;
        int count = WorkerCount;
        string name = Options.NameOf(DeviceType);
        for (int i = 0; i < count; i++)
        {
            var worker = new Worker(count == 1 ? name : $"{name}-{i}");
            _workers.Add(worker);
            worker.Faulted += failure => host.NeedsReset($"the worker failed: {failure.Message}", failure);
            worker.Start();
        }
    }

    /// <inheritdoc/>
    public override bool TryStartQueue(QueueResources queue, [NotNullWhen(false)] out string? reason)
    {
        ArgumentNullException.ThrowIfNull(queue);
        if (_host is null)
        {
            throw new InvalidOperationException("a queue is started after the device");
        }

        int index = queue.Configuration.Index;
        StopQueue(index);
        if (!Virtqueue.TryCreate(queue, out Virtqueue? ring, out reason))
        {
            return false;
        }

        _rings[index] = ring;
        QueueServer? server = CreateServer(index, ring, queue.Kick, _host);
        _servers[index] = server;
        if (server is not null)
        {
            StartServer(index, server, _workers);
        }

        return true;
    }

    /// <inheritdoc/>
    public override void PrepareStop(int index) => _servers[index]?.PrepareStop();

    /// <inheritdoc/>
    public override VirtqueueState? StopQueue(int index)
    {
        if (_servers[index] is { } server)
        {
            StopServer(index, server);
            _servers[index] = null;
        }

        VirtqueueState? state = _rings[index]?.Save();
        _rings[index] = null;
        return state;
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        for (int i = 0; i < _servers.Length; i++)
        {
            PrepareStop(i);
        }

        for (int i = 0; i < _servers.Length; i++)
        {
            StopQueue(i);
        }

        foreach (Worker worker in _workers)
        {
            worker.Dispose();
        }

        _workers.Clear();
        _host = null;
        Features = 0;
        OnReset();
    }

    /// <summary>Workers that the negotiated features call for.</summary>
    private protected virtual int WorkerCount => 1;

    /// <summary>Makes what serves a queue, or null for one that has no use with the negotiated features.</summary>
    private protected abstract QueueServer? CreateServer(int index, Virtqueue queue, EventFd kick, IVirtioDeviceHost host);

    private protected virtual void StartServer(int index, QueueServer server, IReadOnlyList<Worker> workers) => server.Start(workers[0]);

    private protected virtual void StopServer(int index, QueueServer server) => server.Stop();

    private protected virtual void OnStart(ulong features)
    {
    }

    private protected virtual void OnReset()
    {
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Reset();
        }

        base.Dispose(disposing);
    }
}
