using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>A device that serves all its queues on one worker, which runs from <see cref="Start"/> to <see cref="Reset"/>.</summary>
public abstract class WorkerDevice : VirtioDevice
{
    private readonly QueueServer?[] _servers;
    private readonly ushort[] _queueSizes;
    private Worker? _worker;
    private IVirtioDeviceHost? _host;

    private protected WorkerDevice(VirtioDeviceOptions options, int queueCount)
    {
        options.Validate();
        Options = options;
        _servers = new QueueServer?[queueCount];
        _queueSizes = new ushort[queueCount];
        Array.Fill(_queueSizes, options.QueueSize);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<ushort> QueueSizes => _queueSizes;

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
        _worker = new Worker(Options.NameOf(DeviceType));
        _worker.Faulted += failure => host.NeedsReset($"the worker failed: {failure.Message}");
        _worker.Start();
    }

    /// <inheritdoc/>
    public override void StartQueue(int index, Virtqueue queue, EventFd kick)
    {
        ArgumentNullException.ThrowIfNull(queue);
        ArgumentNullException.ThrowIfNull(kick);
        if (_worker == null || _host == null)
        {
            throw new InvalidOperationException("a queue is started after the device");
        }

        StopQueue(index);
        QueueServer server = CreateServer(index, queue, kick, _host);
        _servers[index] = server;
        server.Start(_worker);
    }

    /// <inheritdoc/>
    public override void StopQueue(int index)
    {
        _servers[index]?.Stop();
        _servers[index] = null;
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        for (int i = 0; i < _servers.Length; i++)
        {
            StopQueue(i);
        }

        _worker?.Dispose();
        _worker = null;
        _host = null;
        Features = 0;
        OnReset();
    }

    private protected abstract QueueServer CreateServer(int index, Virtqueue queue, EventFd kick, IVirtioDeviceHost host);

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
