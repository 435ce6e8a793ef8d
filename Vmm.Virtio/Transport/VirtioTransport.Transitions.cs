using System;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <content>From reset to running and back (virtio 1.2, 2.1, 2.4, 2.6.1, 3.1).</content>
internal sealed partial class VirtioTransport
{
    private void WriteStatus(byte written)
    {
        while (true)
        {
            DeviceStatus current = Status;
            StatusChange change = StatusMachine.Judge(current, written, out DeviceStatus next);
            switch (change)
            {
                case StatusChange.None:
                    return;
                case StatusChange.Illegal:
                    Mistake(GuestMistake.StatusSkipped, written);
                    return;
                case StatusChange.Reset:
                    // The status keeps its value until everything has stopped: 0 says that the reset is complete (2.4.2).
                    _host.RunAfterAccess(_reset);
                    return;
            }

            if (change == StatusChange.Negotiate)
            {
                ulong acknowledged = AcknowledgedFeatures;
                if (!CanWorkWith(acknowledged))
                {
                    Mistake(GuestMistake.FeaturesRefused, acknowledged);
                    return;
                }

                if (!TryFreeze(acknowledged, current, next))
                {
                    continue;
                }

                _host.RunAfterAccess(_negotiate);
                return;
            }

            if (Interlocked.CompareExchange(ref _status, (int)next, (int)current) != (int)current)
            {
                continue;
            }

            if (change == StatusChange.Activate)
            {
                _host.RunAfterAccess(_activate);
            }
            else if (change == StatusChange.Fail)
            {
                _host.RunAfterAccess(_fail);
            }

            return;
        }
    }

    /// <summary>Whether the device can work with what the driver acknowledged (2.2.2, 3.1.1).</summary>
    private bool CanWorkWith(ulong acknowledged)
    {
        return (acknowledged & ~_offered) == 0 && (acknowledged & _required) == _required && _device.AcceptsFeatures(acknowledged);
    }

    /// <summary>Makes a set of features the one in force, together with FEATURES_OK.</summary>
    /// <remarks>
    /// The only place that stores the set. FEATURES_OK is set under the same lock and nowhere else, so that nobody stores while it is set, and who
    /// sees it sees the set that came with it.
    /// </remarks>
    /// <returns>False if the status is another one by now.</returns>
    private bool TryFreeze(ulong acknowledged, DeviceStatus current, DeviceStatus next)
    {
        lock (_negotiation)
        {
            if (Status != current)
            {
                return false;
            }

            Volatile.Write(ref _negotiated, acknowledged);
            return Interlocked.CompareExchange(ref _status, (int)next, (int)current) == (int)current;
        }
    }

    private void Negotiate()
    {
        lock (_transition)
        {
            TellFeatures();
        }
    }

    /// <summary>The device hears of the set once, before the write of FEATURES_OK returns and before it starts. Under the transition lock.</summary>
    private void TellFeatures()
    {
        if (!_disposed && !_featuresTold && (Status & (DeviceStatus.FeaturesOk | DeviceStatus.Failed)) == DeviceStatus.FeaturesOk)
        {
            _featuresTold = true;
            Try("negotiation", _tellFeatures);
        }
    }

    private void Activate()
    {
        lock (_transition)
        {
            const DeviceStatus Relevant = DeviceStatus.DriverOk | DeviceStatus.Failed | DeviceStatus.NeedsReset;
            if (_disposed || _active || (Status & Relevant) != DeviceStatus.DriverOk)
            {
                return;
            }

            TellFeatures();
            _activation = new ActivationHost(this);
            _active = TryStart("start", () => _device.Start(NegotiatedFeatures, _activation)) && TryStartQueues();
            if (!_active)
            {
                StopQueues();
            }
        }
    }

    /// <summary>Starts what was enabled after DRIVER_OK.</summary>
    private void StartEnabledQueues()
    {
        lock (_transition)
        {
            if (_active && (Status & DeviceStatus.NeedsReset) == 0)
            {
                TryStartQueues();
            }
        }
    }

    private bool TryStartQueues()
    {
        bool all = true;
        foreach (QueueRegisters queue in _queues)
        {
            if (queue is { IsEnabled: true, IsResetting: false, IsRunning: false })
            {
                all &= TryStartQueue(queue);
            }
        }

        return all;
    }

    private bool TryStartQueue(QueueRegisters queue)
    {
        bool started = false;
        return TryStart($"start of queue {queue.Index}", () => started = StartQueue(queue)) && started;
    }

    private bool StartQueue(QueueRegisters queue)
    {
        var configuration = new VirtqueueConfiguration
        {
            Index = queue.Index,
            Size = queue.Size,
            Descriptors = queue.Descriptors,
            Driver = queue.Driver,
            Device = queue.Device,
            Features = NegotiatedFeatures,
        };
        ITransportInterrupt interrupt = queue.Interrupt!;
        EventFd kick = queue.Kick ??= new EventFd();
        var resources = new QueueResources { Configuration = configuration, Dma = _host.Dma, Kick = kick, Interrupt = interrupt };
        interrupt.Open();
        queue.IsRunning = true;
        if (!_device.TryStartQueue(resources, out string? reason))
        {
            queue.IsRunning = false;
            interrupt.Close();
            _counters.Add(GuestMistake.BadRing);
            SetNeedsReset($"queue {queue.Index}: {reason}");
            return false;
        }

        _host.AddDoorbell(queue.Index, kick, (configuration.Features & TransportFeatures.NotificationData) != 0 ? 4 : 2);
        return true;
    }

    private bool TryStart(string step, Action action)
    {
        try
        {
            action();
            return true;
        }
        catch (Exception failure)
        {
            SetNeedsReset($"{step}: {failure.Message}", failure);
            return false;
        }
    }

    private void ResetQueues()
    {
        lock (_transition)
        {
            foreach (QueueRegisters queue in _queues)
            {
                if (queue.IsResetting)
                {
                    StopQueue(queue);
                    queue.PowerOn();
                    Interlocked.Increment(ref _queueResets);
                    queue.IsResetting = false;
                }
            }
        }
    }

    private void Fail()
    {
        lock (_transition)
        {
            if ((Status & DeviceStatus.Failed) != 0)
            {
                StopEverything();
            }
        }
    }

    private void Reset()
    {
        lock (_transition)
        {
            if (_disposed)
            {
                return;
            }

            StopEverything();
            Try("reset", _resetDevice);
            _featuresTold = false;
            _deviceFeatureSelect = 0;
            _driverFeatureSelect = 0;
            _driverFeaturesLow = 0;
            _driverFeaturesHigh = 0;
            _queueSelect = 0;
            _host.TryMapConfiguration(VirtioPciIds.NoVector);
            foreach (QueueRegisters queue in _queues)
            {
                queue.PowerOn();
                queue.IsResetting = false;
            }

            _generation.PowerOn(ConfigurationVersion);
            _host.ClearInterrupts();

            // Last: the driver may go on when it reads 0.
            Volatile.Write(ref _status, 0);
        }
    }

    /// <summary>From here on nothing of the device touches rings or interrupts.</summary>
    private void StopEverything()
    {
        _activation?.Revoke();
        _activation = null;
        StopQueues();
        _active = false;
    }

    private void StopQueues()
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
            StopQueue(queue);
        }
    }

    private void PrepareStop(QueueRegisters queue) => Try($"end of queue {queue.Index}", () => _device.PrepareStop(queue.Index));

    private void StopQueue(QueueRegisters queue)
    {
        if (queue.IsRunning)
        {
            StopRunningQueue(queue);
        }
    }

    private void StopRunningQueue(QueueRegisters queue)
    {
        queue.IsRunning = false;
        Try($"stop of queue {queue.Index}", () => _device.StopQueue(queue.Index));
        Try($"end of the interrupt of queue {queue.Index}", queue.Interrupt!.Close);
        _host.RemoveDoorbell(queue.Index);
    }

    /// <summary>A step on the way down: what fails is logged and the way goes on, since a reset always completes (VTP-7).</summary>
    private void Try(string step, Action action)
    {
        try
        {
            action();
        }
        catch (Exception failure)
        {
            ReportFailure(failure, step);
        }
    }
}
