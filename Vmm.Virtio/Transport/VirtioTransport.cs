using System;
using Microsoft.Extensions.Logging;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>The device side of the virtio transport, put together from its parts: what a carrier forwards the driver's accesses to.</summary>
/// <remarks>
/// <para>
/// <see cref="CommonConfigurationRegisters"/> are the registers; <see cref="FeatureNegotiation"/>, <see cref="StatusRegister"/> and
/// <see cref="TransportQueues"/> hold what they stand for; <see cref="DeviceLifeCycle"/> does what a step of the status sets off;
/// <see cref="DeviceAnnouncements"/> is what the device tells outside its queues; <see cref="TransportReports"/> counts and logs. None of them knows
/// more of the carrier than <see cref="ITransportHost"/>.
/// </para>
/// <para>Lock order: the negotiation lock is innermost. The transition lock of the life cycle; then the gate of <see cref="ActivationHost"/>, the
/// carrier's mapping lock, the device's own locks; then those of the interrupts.</para>
/// </remarks>
internal sealed class VirtioTransport : IDisposable
{
    private readonly VirtioDevice _device;
    private readonly StatusRegister _status = new();
    private readonly FeatureNegotiation _features;
    private readonly DeviceAnnouncements _announcements;
    private readonly TransportQueues _queues;
    private readonly DeviceLifeCycle _lifeCycle;
    private readonly TransportReports _reports;

    /// <param name="device">What is carried.</param>
    /// <param name="host">Its carrier.</param>
    /// <param name="offered">Features that a driver may acknowledge.</param>
    /// <param name="required">Features without which FEATURES_OK is refused.</param>
    /// <param name="name">For logs.</param>
    /// <param name="logger">Where to log.</param>
    public VirtioTransport(VirtioDevice device, ITransportHost host, ulong offered, ulong required, string name, ILogger logger)
    {
        _device = device;
        _reports = new TransportReports(name, logger);
        _features = new FeatureNegotiation(_status, offered, required);
        _announcements = new DeviceAnnouncements(device, host, _status, _reports);
        _queues = new TransportQueues(device, host, _announcements, _reports);
        _lifeCycle = new DeviceLifeCycle(device, host, _status, _features, _announcements, _queues, _reports);
        State = new TransportStates(device, host, _status, _features, _announcements, _queues, _lifeCycle, _reports);
        Registers = new CommonConfigurationRegisters(host, _status, _features, _announcements, _queues, _lifeCycle, _reports);
    }

    /// <summary>The transport as a part of a machine: saved, restored and shown.</summary>
    public TransportStates State { get; }

    /// <summary>The common configuration.</summary>
    public CommonConfigurationRegisters Registers { get; }

    /// <summary>The device status register.</summary>
    public DeviceStatus Status => _status.Value;

    /// <summary>Features that the driver may acknowledge.</summary>
    public ulong OfferedFeatures => _features.Offered;

    /// <summary>Features in force; 0 before FEATURES_OK.</summary>
    public ulong NegotiatedFeatures => _features.Negotiated;

    /// <inheritdoc cref="DeviceLifeCycle.ActivationChanged"/>
    public Action<bool>? ActivationChanged
    {
        get => _lifeCycle.ActivationChanged;
        set => _lifeCycle.ActivationChanged = value;
    }

    /// <summary>Queues that were reset one by one.</summary>
    public long QueueResets => _queues.Resets;

    /// <summary>Exceptions of the device's own code, which are logged with their stack at a limited rate.</summary>
    public long DeviceFailures => _reports.DeviceFailures;

    /// <summary>How often a driver got something wrong.</summary>
    public long CountOf(GuestMistake mistake) => _reports.CountOf(mistake);

    /// <summary>Counts a driver's mistake and, now and then, logs it.</summary>
    public void Mistake(GuestMistake mistake, ulong value) => _reports.Mistake(mistake, value);

    /// <summary>Does a reset, after the access that the calling thread may be in.</summary>
    public void ScheduleReset() => _lifeCycle.ScheduleReset();

    /// <summary>Has every running queue looked at: what kept the device from its rings is over.</summary>
    public void KickAll() => _queues.KickAll();

    /// <summary>Reads device configuration; the generation has noticed that the driver looked.</summary>
    public ulong ReadDeviceConfiguration(int offset, int width)
    {
        ulong value = _device.ReadConfiguration(offset, width);
        _announcements.ReadGeneration();
        return value;
    }

    /// <summary>Writes device configuration.</summary>
    public void WriteDeviceConfiguration(int offset, int width, ulong value) => _device.WriteConfiguration(offset, width, value);

    /// <summary>A notification that came as a write (4.1.5.2).</summary>
    /// <param name="index">The queue whose notify address it was.</param>
    /// <param name="width">2, or 4 with NOTIFICATION_DATA; either is taken whatever was negotiated.</param>
    /// <param name="value">The value that was written, in the low bytes.</param>
    public void Notify(int index, int width, ulong value)
    {
        if (width is not (2 or 4) || !_queues.Notify(index))
        {
            _reports.Mistake(GuestMistake.NotificationIgnored, value);
        }
    }

    /// <inheritdoc cref="DeviceLifeCycle.TryPause"/>
    public bool TryPause(TimeSpan limit) => _lifeCycle.TryPause(limit);

    /// <inheritdoc cref="DeviceLifeCycle.Resume"/>
    public void Resume() => _lifeCycle.Resume();

    /// <summary>Stops the device and releases it.</summary>
    public void Dispose() => _lifeCycle.Dispose();
}
