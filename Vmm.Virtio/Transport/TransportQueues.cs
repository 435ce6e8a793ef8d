using System;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>The queues: their registers by index, and what starts, stops and resets them (virtio 1.2, 2.6.1 and 4.1.4.3).</summary>
/// <remarks>
/// vCPU threads reach the registers and <see cref="Notify"/> without a lock. Starting, stopping and resetting belong to the transition lock of
/// <see cref="DeviceLifeCycle"/>.
/// </remarks>
internal sealed class TransportQueues
{
    private readonly VirtioDevice _device;
    private readonly ITransportHost _host;
    private readonly DeviceAnnouncements _announcements;
    private readonly TransportReports _reports;
    private readonly QueueRegisters[] _queues;
    private readonly QueueRegisters _absent;
    private long _resets;

    public TransportQueues(VirtioDevice device, ITransportHost host, DeviceAnnouncements announcements, TransportReports reports)
    {
        _device = device;
        _host = host;
        _announcements = announcements;
        _reports = reports;
        _queues = new QueueRegisters[device.QueueSizes.Count];
        for (int i = 0; i < _queues.Length; i++)
        {
            _queues[i] = new QueueRegisters(i, device.QueueSizes[i], host.CreateQueueInterrupt());
        }

        _absent = new QueueRegisters(_queues.Length, 0, null);
    }

    /// <summary>The queues, by index.</summary>
    public ReadOnlySpan<QueueRegisters> All => _queues;

    /// <summary>num_queues.</summary>
    public int Count => _queues.Length;

    /// <summary>queue_select.</summary>
    public uint Select { get; set; }

    /// <summary>The queue that <see cref="Select"/> means; one that is absent for every index out of range (VTP-8).</summary>
    public QueueRegisters Selected
    {
        get
        {
            QueueRegisters[] queues = _queues;
            uint select = Select;
            return select < (uint)queues.Length ? queues[select] : _absent;
        }
    }

    /// <summary>Queues that were reset one by one.</summary>
    public long Resets => Interlocked.Read(ref _resets);

    /// <summary>Signals a queue's kick eventfd, as a doorbell would have done (4.1.5.2).</summary>
    /// <returns>False if there is no such queue, or it is not enabled.</returns>
    public bool Notify(int index)
    {
        if ((uint)index >= (uint)_queues.Length || _queues[index] is not { IsEnabled: true } queue)
        {
            return false;
        }

        // Without an eventfd the queue has not been started; that serves what is in the ring already.
        queue.Kick?.Signal();
        return true;
    }

    /// <summary>Has every enabled queue looked at: what kept the device from its rings is over.</summary>
    public void KickAll()
    {
        foreach (QueueRegisters queue in _queues)
        {
            if (queue.IsEnabled)
            {
                queue.Kick?.Signal();
            }
        }
    }

    /// <summary>Starts every queue that is enabled and does not run.</summary>
    /// <param name="features">Features in force.</param>
    /// <returns>False if one of them did not start: DEVICE_NEEDS_RESET is set.</returns>
    public bool TryStartEnabled(ulong features)
    {
        bool all = true;
        foreach (QueueRegisters queue in _queues)
        {
            if (queue is { IsEnabled: true, IsResetting: false, IsRunning: false })
            {
                all &= TryStart(queue, features);
            }
        }

        return all;
    }

    /// <summary>Stops every running queue and keeps its place, for <see cref="TryStartEnabled"/> to go on from. Nothing is in flight.</summary>
    public void Pause()
    {
        foreach (QueueRegisters queue in _queues)
        {
            if (queue.IsRunning)
            {
                PrepareStop(queue);
                queue.Place = StopRunning(queue);
            }
        }
    }

    /// <summary>Tells every running queue's driver of what it may not have been told: looking for nothing is harmless.</summary>
    public void SignalAll()
    {
        foreach (QueueRegisters queue in _queues)
        {
            if (queue.IsRunning)
            {
                queue.Interrupt!.Signal();
            }
        }
    }

    /// <summary>Stops every running queue.</summary>
    public void StopAll()
    {
        // All of them are told before the first is waited for: together they take as long as the slowest request, not as all.
        foreach (QueueRegisters queue in _queues)
        {
            if (queue.IsRunning)
            {
                PrepareStop(queue);
            }
        }

        foreach (QueueRegisters queue in _queues)
        {
            Stop(queue);
        }
    }

    /// <summary>Does the resets that queue_reset asked for.</summary>
    public void ResetRequested()
    {
        foreach (QueueRegisters queue in _queues)
        {
            if (queue is { IsResetting: true, IsRunning: true })
            {
                PrepareStop(queue);
            }
        }

        foreach (QueueRegisters queue in _queues)
        {
            if (queue.IsResetting)
            {
                Stop(queue);
                queue.PowerOn();
                Interlocked.Increment(ref _resets);
                queue.IsResetting = false;
            }
        }
    }

    /// <summary>Gives every register its power-on value. No queue runs.</summary>
    public void PowerOn()
    {
        Select = 0;
        foreach (QueueRegisters queue in _queues)
        {
            queue.PowerOn();
            queue.IsResetting = false;
        }
    }

    /// <summary>Closes what queues keep from one run to the next. No queue runs or will.</summary>
    public void Close()
    {
        foreach (QueueRegisters queue in _queues)
        {
            queue.Kick?.Dispose();
        }
    }

    private bool TryStart(QueueRegisters queue, ulong features)
    {
        return _announcements.TryStart($"start of queue {queue.Index}", () => Start(queue, features));
    }

    private bool Start(QueueRegisters queue, ulong features)
    {
        ITransportInterrupt interrupt = queue.Interrupt!;
        EventFd kick = queue.Kick ??= new EventFd();
        var resources = new QueueResources
        {
            Configuration = queue.ToConfiguration(features),
            Dma = _host.Dma,
            Kick = kick,
            Interrupt = interrupt,
        };
        interrupt.Open();
        queue.IsRunning = true;
        if (!_device.TryStartQueue(resources, out string? reason))
        {
            queue.IsRunning = false;
            interrupt.Close();
            _reports.BadRing();
            _announcements.NeedsReset($"queue {queue.Index}: {reason}");
            return false;
        }

        queue.Place = null;
        _host.AddDoorbell(queue.Index, kick, (features & TransportFeatures.NotificationData) != 0 ? 4 : 2);
        return true;
    }

    private void PrepareStop(QueueRegisters queue) => _reports.Attempt($"end of queue {queue.Index}", () => _device.PrepareStop(queue.Index));

    private void Stop(QueueRegisters queue)
    {
        if (queue.IsRunning)
        {
            StopRunning(queue);
        }
    }

    private VirtqueueState? StopRunning(QueueRegisters queue)
    {
        VirtqueueState? place = null;
        queue.IsRunning = false;
        _reports.Attempt($"stop of queue {queue.Index}", () => place = _device.StopQueue(queue.Index));
        _reports.Attempt($"end of the interrupt of queue {queue.Index}", queue.Interrupt!.Close);
        _host.RemoveDoorbell(queue.Index);
        return place;
    }
}
