using System;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Diagnostics;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>The device side of the virtio transport: registers, negotiation, and the device's way from reset to running and back.</summary>
/// <remarks>
/// <para>
/// Registers are read and written by vCPU threads, several at once, without a lock. A status write is one compare-and-swap, so that of two that
/// race one makes the step; that of FEATURES_OK takes a lock, held for a few instructions, with which the features become fixed. What a step sets
/// off (negotiation, start, stop, reset, enabling or resetting a queue while the device runs) happens after
/// the access, on the thread of the vCPU that made it and before that goes on, under the transition lock. That lock is held while the device
/// starts and stops; nothing that a guest access or a worker does waits for it. Each of those effects looks at the registers as they are
/// then, so that one that comes late does nothing.
/// </para>
/// <para>Lock order: the negotiation lock is innermost. The transition lock; then the gate of <see cref="ActivationHost"/>, the function's mapping
/// lock, the device's own locks; then those of the interrupts.</para>
/// </remarks>
internal sealed partial class VirtioTransport : IDisposable
{
    private readonly VirtioDevice _device;
    private readonly ITransportHost _host;
    private readonly TransportCounters _counters;
    private readonly ILogger _logger;
    private readonly string _name;
    private readonly ulong _offered;
    private readonly ulong _required;
    private readonly QueueRegisters[] _queues;
    private readonly QueueRegisters _absentQueue;
    private readonly ConfigurationGeneration _generation = new();
    private readonly TokenBucket _reports = new();
    private readonly TokenBucket _resetReports = new();
    private readonly TokenBucket _failureReports = new();
    private readonly Lock _transition = new();
    private readonly Lock _negotiation = new();
    private readonly Action _negotiate;
    private readonly Action _activate;
    private readonly Action _reset;
    private readonly Action _fail;
    private readonly Action _startEnabledQueues;
    private readonly Action _resetQueues;
    private readonly Action _resetDevice;
    private readonly Action _tellFeatures;

    private int _status;
    private uint _deviceFeatureSelect;
    private uint _driverFeatureSelect;
    private uint _driverFeaturesLow;
    private uint _driverFeaturesHigh;
    private ulong _negotiated;
    private uint _queueSelect;
    private uint _notedChanges;
    private uint _announcedVersion;

    private bool _featuresTold;
    private bool _active;
    private ActivationHost? _activation;
    private bool _disposed;
    private long _queueResets;
    private long _deviceFailures;

    /// <param name="device">What is carried.</param>
    /// <param name="host">What carries it.</param>
    /// <param name="offered">Features that a driver may acknowledge.</param>
    /// <param name="required">Features without which FEATURES_OK is refused.</param>
    /// <param name="name">For logs.</param>
    /// <param name="logger">Where to log.</param>
    public VirtioTransport(VirtioDevice device, ITransportHost host, ulong offered, ulong required, string name, ILogger logger)
    {
        _device = device;
        _host = host;
        _counters = new TransportCounters();
        _logger = logger;
        _name = name;
        _offered = offered;
        _required = required;
        _queues = new QueueRegisters[device.QueueSizes.Count];
        for (int i = 0; i < _queues.Length; i++)
        {
            _queues[i] = new QueueRegisters(i, device.QueueSizes[i], host.CreateQueueInterrupt());
        }

        _absentQueue = new QueueRegisters(_queues.Length, 0, null);
        _negotiate = Negotiate;
        _activate = Activate;
        _reset = Reset;
        _fail = Fail;
        _startEnabledQueues = StartEnabledQueues;
        _resetQueues = ResetQueues;
        _resetDevice = device.Reset;
        _tellFeatures = () => device.OnFeaturesNegotiated(NegotiatedFeatures);
        _generation.PowerOn(ConfigurationVersion);
    }

    /// <summary>The device status register.</summary>
    public DeviceStatus Status => (DeviceStatus)Volatile.Read(ref _status);

    /// <summary>Features that the driver may acknowledge.</summary>
    public ulong OfferedFeatures => _offered;

    /// <summary>Features in force; 0 before FEATURES_OK.</summary>
    public ulong NegotiatedFeatures => (Status & DeviceStatus.FeaturesOk) != 0 ? Volatile.Read(ref _negotiated) : 0;

    /// <summary>The queues by index.</summary>
    public ReadOnlySpan<QueueRegisters> Queues => _queues;

    /// <summary>Queues that were reset one by one.</summary>
    public long QueueResets => Interlocked.Read(ref _queueResets);

    /// <summary>Exceptions of the device's own code, which are logged with their stack at a limited rate.</summary>
    public long DeviceFailures => Interlocked.Read(ref _deviceFailures);

    /// <summary>What the driver got wrong.</summary>
    public TransportCounters Counters => _counters;

    private QueueRegisters Selected
    {
        get
        {
            QueueRegisters[] queues = _queues;
            uint select = _queueSelect;
            return select < (uint)queues.Length ? queues[select] : _absentQueue;
        }
    }

    // Odd while the device is changing its configuration; changes that the device only announces count two each.
    private uint ConfigurationVersion => _device.ConfigurationVersion + Volatile.Read(ref _notedChanges);

    /// <summary>Does a reset, after the access that the calling thread may be in.</summary>
    public void ScheduleReset() => _host.RunAfterAccess(_reset);

    /// <summary>Has every running queue looked at: what kept the device from its rings is over.</summary>
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

    /// <summary>
    /// The device's configuration has changed. Only between DRIVER_OK and reset: no driver is interrupted before DRIVER_OK (3.1.1).
    /// </summary>
    public void OnConfigurationChanged()
    {
        // A device that changes its configuration under ChangeConfiguration has moved the version already.
        uint version = _device.ConfigurationVersion;
        if (version == _announcedVersion)
        {
            Volatile.Write(ref _notedChanges, _notedChanges + 2);
        }

        _announcedVersion = version;
        _host.SignalConfiguration();
    }

    /// <summary>Sets DEVICE_NEEDS_RESET and tells the driver (virtio 1.2, 2.1.2). Only between DRIVER_OK and reset.</summary>
    /// <param name="reason">For the log.</param>
    /// <param name="failure">The exception of the device's code that is the cause, or null.</param>
    public void SetNeedsReset(string reason, Exception? failure = null)
    {
        if (failure is not null)
        {
            // Before anything else: an exception with its stack is what a fault is found by, whether or not the driver has been told.
            ReportFailure(failure, reason);
        }

        int seen = Volatile.Read(ref _status);
        while (true)
        {
            if ((seen & (int)DeviceStatus.NeedsReset) != 0)
            {
                return;
            }

            int before = Interlocked.CompareExchange(ref _status, seen | (int)DeviceStatus.NeedsReset, seen);
            if (before == seen)
            {
                break;
            }

            seen = before;
        }

        if (_resetReports.TryTake(out long suppressed))
        {
            Log.NeedsReset(_logger, _name, reason, suppressed);
        }

        _host.SignalConfiguration();
    }

    /// <summary>
    /// Counts an exception of the device's code and logs it with its stack; a guest that provokes it again and again is not heard each time.
    /// </summary>
    private void ReportFailure(Exception failure, string step)
    {
        Interlocked.Increment(ref _deviceFailures);
        if (_failureReports.TryTake(out long suppressed))
        {
            Log.DeviceFailed(_logger, failure, _name, step, suppressed);
        }
    }

    /// <summary>Counts a driver's mistake and, now and then, logs it.</summary>
    public void Mistake(GuestMistake mistake, ulong value)
    {
        _counters.Add(mistake);
        if (_reports.TryTake(out long suppressed))
        {
            Log.MistakeIgnored(_logger, _name, mistake, value, suppressed);
        }
    }

    /// <summary>Stops the device and releases it. What a guest's last access set off and comes later does nothing.</summary>
    public void Dispose()
    {
        lock (_transition)
        {
            _disposed = true;
            StopEverything();
            _device.Dispose();
            foreach (QueueRegisters queue in _queues)
            {
                queue.Kick?.Dispose();
            }
        }
    }
}
