using System;
using System.Threading;
using Vmm.Virtio.Devices;

namespace Vmm.Virtio.Transport;

/// <summary>The word of a device to its driver beside its queues: that its configuration has changed (VTP-10), that it needs a reset (VTP-16).</summary>
internal sealed class DeviceAnnouncements
{
    private readonly VirtioDevice _device;
    private readonly ITransportHost _host;
    private readonly StatusRegister _status;
    private readonly TransportReports _reports;
    private readonly ConfigurationGeneration _generation = new();
    private uint _notedChanges;
    private uint _announcedVersion;

    public DeviceAnnouncements(VirtioDevice device, ITransportHost host, StatusRegister status, TransportReports reports)
    {
        _device = device;
        _host = host;
        _status = status;
        _reports = reports;
        PowerOn();
    }

    // Odd while the device is changing its configuration; changes that the device only announces count two each.
    private uint ConfigurationVersion => _device.ConfigurationVersion + Volatile.Read(ref _notedChanges);

    /// <summary>config_generation; a read is a look of the driver's.</summary>
    public byte ReadGeneration() => _generation.OnDriverRead(ConfigurationVersion);

    /// <summary>
    /// The device's configuration has changed. Only between DRIVER_OK and reset, one call at a time: no driver is interrupted before DRIVER_OK (3.1.1).
    /// </summary>
    public void ConfigurationChanged()
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
    public void NeedsReset(string reason, Exception? failure = null)
    {
        if (failure is not null)
        {
            // Before anything else: an exception with its stack is what a fault is found by, whether or not the driver has been told.
            _reports.Failure(failure, reason);
        }

        if (_status.TrySetNeedsReset())
        {
            _reports.NeedsReset(reason);
            _host.SignalConfiguration();
        }
    }

    /// <summary>A step on the way up: one that throws needs a reset (VTP-6).</summary>
    /// <param name="step">For the log.</param>
    /// <param name="start">The step; false if it has said so itself that a reset is needed.</param>
    public bool TryStart(string step, Func<bool> start)
    {
        try
        {
            return start();
        }
        catch (Exception failure)
        {
            NeedsReset($"{step}: {failure.Message}", failure);
            return false;
        }
    }

    /// <summary>config_generation as the driver saw it last.</summary>
    public byte Generation => _generation.Seen;

    /// <summary>Configuration has changed since the driver looked last.</summary>
    public bool IsChangeUnseen => _generation.IsUnseen(ConfigurationVersion);

    /// <summary>Takes a saved generation over.</summary>
    public void Restore(byte generation, bool changeUnseen)
    {
        _generation.Restore(generation, changeUnseen ? ConfigurationVersion - 2 : ConfigurationVersion);
    }

    /// <summary>Power-on: generation 0, nothing unseen.</summary>
    public void PowerOn() => _generation.PowerOn(ConfigurationVersion);
}
