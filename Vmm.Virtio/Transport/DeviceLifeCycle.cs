using System;
using System.Threading;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>A device's way from reset to running and back: the steps of device_status and what they set off (virtio 1.2, 2.1, 2.4, 3.1).</summary>
/// <remarks>
/// A status write is one compare-and-swap; that of FEATURES_OK takes a lock, held for a few instructions, with which the features become fixed.
/// What a step sets off (negotiation, start, stop, reset, enabling or resetting a queue while the device runs) happens after the access, on the
/// thread of the vCPU that made it and before that goes on, under the transition lock. That lock is held while the device starts and stops; nothing
/// that a guest access or a worker does waits for it. Each of those effects looks at the registers as they are then, so that one that comes late
/// does nothing.
/// </remarks>
internal sealed partial class DeviceLifeCycle
{
    private readonly VirtioDevice _device;
    private readonly ITransportHost _host;
    private readonly StatusRegister _status;
    private readonly FeatureNegotiation _features;
    private readonly DeviceAnnouncements _announcements;
    private readonly TransportQueues _queues;
    private readonly TransportReports _reports;
    private readonly Lock _transition = new();
    private readonly Action _negotiate;
    private readonly Action _activate;
    private readonly Action _reset;
    private readonly Action _fail;
    private readonly Action _startEnabledQueues;
    private readonly Action _resetQueues;
    private readonly Action _resetDevice;
    private readonly Action _tellFeatures;
    private bool _featuresTold;
    private bool _active;
    private ActivationHost? _activation;
    private bool _paused;
    private bool _disposed;

    public DeviceLifeCycle(
        VirtioDevice device, ITransportHost host, StatusRegister status, FeatureNegotiation features, DeviceAnnouncements announcements,
        TransportQueues queues, TransportReports reports)
    {
        _device = device;
        _host = host;
        _status = status;
        _features = features;
        _announcements = announcements;
        _queues = queues;
        _reports = reports;
        _negotiate = Negotiate;
        _activate = Activate;
        _reset = Reset;
        _fail = Fail;
        _startEnabledQueues = StartEnabledQueues;
        _resetQueues = ResetQueues;
        _resetDevice = device.Reset;
        _tellFeatures = () => device.OnFeaturesNegotiated(_features.Negotiated);
    }

    /// <summary>Called under the transition lock: with true when a driver has started the device, with false when one that ran has stopped.</summary>
    public Action<bool>? ActivationChanged { get; set; }

    /// <summary>The device was started, and nothing has stopped it since.</summary>
    public bool IsActive => Volatile.Read(ref _active);

    /// <summary>The driver writes device_status.</summary>
    public void WriteStatus(byte written)
    {
        while (!TryWriteStatus(written))
        {
        }
    }

    /// <summary>Does a reset, after the access that the calling thread may be in.</summary>
    public void ScheduleReset() => _host.RunAfterAccess(_reset);

    /// <summary>A queue was enabled: it starts after the access, if the device runs.</summary>
    public void ScheduleQueueStart() => _host.RunAfterAccess(_startEnabledQueues);

    /// <summary>A queue is to be reset, after the access.</summary>
    public void ScheduleQueueReset() => _host.RunAfterAccess(_resetQueues);

    /// <summary>Stops the device and releases it. What a guest's last access set off and comes later does nothing.</summary>
    public void Dispose()
    {
        lock (_transition)
        {
            _disposed = true;
            StopEverything();
            _device.Dispose();
            _queues.Close();
        }
    }

    /// <returns>False if the status is another one by now: the write is judged anew.</returns>
    private bool TryWriteStatus(byte written)
    {
        DeviceStatus current = _status.Value;
        StatusChange change = StatusMachine.Judge(current, written, out DeviceStatus next);
        switch (change)
        {
            case StatusChange.None:
                return true;
            case StatusChange.Illegal:
                _reports.Mistake(GuestMistake.StatusSkipped, written);
                return true;
            case StatusChange.Reset:
                // The status keeps its value until everything has stopped: 0 says that the reset is complete (2.4.2).
                _host.RunAfterAccess(_reset);
                return true;
            case StatusChange.Negotiate:
                return TryNegotiate(current, next);
        }

        if (!_status.TryStep(current, next))
        {
            return false;
        }

        if (change is StatusChange.Activate or StatusChange.Fail)
        {
            _host.RunAfterAccess(change == StatusChange.Activate ? _activate : _fail);
        }

        return true;
    }

    private bool TryNegotiate(DeviceStatus current, DeviceStatus next)
    {
        ulong acknowledged = _features.Acknowledged;
        if (!_features.Accepts(acknowledged) || !_device.AcceptsFeatures(acknowledged))
        {
            _reports.Mistake(GuestMistake.FeaturesRefused, acknowledged);
            return true;
        }

        if (!_features.TryFreeze(acknowledged, current, next))
        {
            return false;
        }

        _host.RunAfterAccess(_negotiate);
        return true;
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
        if (!_disposed && !_featuresTold && (_status.Value & (DeviceStatus.FeaturesOk | DeviceStatus.Failed)) == DeviceStatus.FeaturesOk)
        {
            _featuresTold = true;
            _reports.Attempt("negotiation", _tellFeatures);
        }
    }

    private void Activate()
    {
        lock (_transition)
        {
            const DeviceStatus Relevant = DeviceStatus.DriverOk | DeviceStatus.Failed | DeviceStatus.NeedsReset;
            if (_disposed || _active || (_status.Value & Relevant) != DeviceStatus.DriverOk)
            {
                return;
            }

            TellFeatures();
            _activation = new ActivationHost(_announcements);
            _active = _announcements.TryStart("start", StartDevice) && (_paused || _queues.TryStartEnabled(_features.Negotiated));
            if (!_active)
            {
                _queues.StopAll();
                return;
            }

            ActivationChanged?.Invoke(true);
        }
    }

    private bool StartDevice()
    {
        _device.Start(_features.Negotiated, _activation!);
        return true;
    }

    /// <summary>Starts what was enabled after DRIVER_OK.</summary>
    private void StartEnabledQueues()
    {
        lock (_transition)
        {
            if (_active && !_paused && !_status.Has(DeviceStatus.NeedsReset))
            {
                _queues.TryStartEnabled(_features.Negotiated);
            }
        }
    }

    private void ResetQueues()
    {
        lock (_transition)
        {
            _queues.ResetRequested();
        }
    }

    private void Fail()
    {
        lock (_transition)
        {
            if (_status.Has(DeviceStatus.Failed))
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

            PowerOn();
            _host.ClearInterrupts();

            // Last: the driver may go on when it reads 0.
            _status.Clear();
        }
    }

    /// <summary>Everything but the status and what is on its way to the driver is as at power-on.</summary>
    private void PowerOn()
    {
        StopEverything();
        _reports.Attempt("reset", _resetDevice);
        _featuresTold = false;
        _features.PowerOn();
        _host.TryMapConfiguration(VirtioPciIds.NoVector);
        _queues.PowerOn();
        _announcements.PowerOn();
    }

    /// <summary>From here on nothing of the device touches rings or interrupts.</summary>
    private void StopEverything()
    {
        _activation?.Revoke();
        _activation = null;
        _queues.StopAll();
        if (_active)
        {
            _active = false;
            ActivationChanged?.Invoke(false);
        }
    }
}
