using System;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Spec;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Conformance.Driving;

/// <summary>A driver's hands on the registers of a virtio function, one step at a time, right or wrong as the check wants it.</summary>
/// <remarks>Belongs to the thread that runs the check.</remarks>
public sealed class RawDriver
{
    private readonly CheckContext _context;
    private readonly VirtioPciStructures _structures;

    /// <summary>Takes hold of the function.</summary>
    /// <param name="context">The check.</param>
    public RawDriver(CheckContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        _context = context;
        _structures = context.Structures;
    }

    /// <summary>The device status.</summary>
    public DeviceStatus Status => (DeviceStatus)Get(Reg.DeviceStatus, 1);

    /// <summary>Queues of the device.</summary>
    public int QueueCount => (int)Get(Reg.NumQueues, 2);

    /// <summary>The features that are offered, banks 0 and 1.</summary>
    public ulong OfferedFeatures => ReadFeatures(0) | (ReadFeatures(1) << 32);

    /// <summary>The features that were agreed on by <see cref="Negotiate"/>.</summary>
    public ulong Features { get; private set; }

    /// <summary>The least that a driver takes: VERSION_1, and what says how addresses and orders work.</summary>
    public ulong LeastFeatures => OfferedFeatures & (TransportFeatures.Version1 | TransportFeatures.AccessPlatform | TransportFeatures.OrderPlatform);

    /// <summary>Reads a field of the common configuration.</summary>
    /// <param name="offset">Its offset.</param>
    /// <param name="width">1, 2, 4 or 8.</param>
    public ulong Get(int offset, int width) => _context.Access.ReadBar(_structures.Common.Bar, _structures.Common.Offset + (uint)offset, width);

    /// <summary>Writes a field of the common configuration.</summary>
    /// <param name="offset">Its offset.</param>
    /// <param name="width">1, 2, 4 or 8.</param>
    /// <param name="value">The value.</param>
    public void Set(int offset, int width, ulong value) =>
        _context.Access.WriteBar(_structures.Common.Bar, _structures.Common.Offset + (uint)offset, width, value);

    /// <summary>Reads the ISR byte, which clears it.</summary>
    public IsrStatus ReadIsr()
    {
        if (_structures.Isr is not { } isr)
        {
            _context.Skip("there is no ISR structure");
            return default;
        }

        return (IsrStatus)_context.Access.ReadBar(isr.Bar, isr.Offset, 1);
    }

    /// <summary>32 offered feature bits.</summary>
    /// <param name="bank">Which.</param>
    public ulong ReadFeatures(uint bank)
    {
        Set(Reg.DeviceFeatureSelect, 4, bank);
        return Get(Reg.DeviceFeature, 4);
    }

    /// <summary>32 acknowledged feature bits.</summary>
    /// <param name="bank">Which.</param>
    public ulong ReadDriverFeatures(uint bank)
    {
        Set(Reg.DriverFeatureSelect, 4, bank);
        return Get(Reg.DriverFeature, 4);
    }

    /// <summary>Acknowledges features, without more.</summary>
    /// <param name="features">Banks 0 and 1.</param>
    public void WriteDriverFeatures(ulong features)
    {
        for (uint bank = 0; bank < 2; bank++)
        {
            Set(Reg.DriverFeatureSelect, 4, bank);
            Set(Reg.DriverFeature, 4, (uint)(features >> (int)(32 * bank)));
        }
    }

    /// <summary>Adds status bits to those that are there.</summary>
    /// <param name="bits">The bits.</param>
    public void AddStatus(DeviceStatus bits) => Set(Reg.DeviceStatus, 1, (byte)(Status | bits));

    /// <summary>Resets the device and waits for it.</summary>
    public void Reset()
    {
        Set(Reg.DeviceStatus, 1, 0);
        _context.Await(() => Status == DeviceStatus.None, "device_status = 0 after a reset", () => $"{Status}");
    }

    /// <summary>Reset, ACKNOWLEDGE, DRIVER.</summary>
    public void Recognise()
    {
        Reset();
        AddStatus(DeviceStatus.Acknowledge);
        AddStatus(DeviceStatus.Driver);
    }

    /// <summary>Everything up to FEATURES_OK, with the least features and some more.</summary>
    /// <param name="more">More features; they are offered.</param>
    public void Negotiate(ulong more = 0)
    {
        Recognise();
        Features = LeastFeatures | more;
        WriteDriverFeatures(Features);
        AddStatus(DeviceStatus.FeaturesOk);
        _context.Require(
            (Status & DeviceStatus.FeaturesOk) != 0, $"FEATURES_OK accepted with features {CheckContext.Hex(Features)}", $"device_status = {Status}");
    }

    /// <summary>Selects a queue.</summary>
    /// <param name="index">Which.</param>
    public void Select(int index) => Set(Reg.QueueSelect, 2, (uint)index);

    /// <summary>Gives a queue memory and, unless told otherwise, enables it.</summary>
    /// <param name="index">Which queue.</param>
    /// <param name="vector">Its MSI-X vector; none by default.</param>
    /// <param name="size">Most descriptors, a power of two.</param>
    /// <param name="enable">Whether to enable it.</param>
    public RawQueue SetUpQueue(int index, int vector = VirtioPciIds.NoVector, int size = 8, bool enable = true)
    {
        Select(index);
        int most = (int)Get(Reg.QueueSize, 2);
        _context.Require(most != 0, $"queue {index} with a size", "queue_size = 0");
        size = 1 << System.Numerics.BitOperations.Log2((uint)Math.Min(size, most));
        Set(Reg.QueueSize, 2, (uint)size);
        ulong notify = Get(Reg.QueueNotifyOff, 2) * _structures.NotifyMultiplier;
        var queue = new RawQueue(_context, index, size, notify);
        SetAddress(Reg.QueueDescriptors, queue.Descriptors);
        SetAddress(Reg.QueueDriver, queue.Available);
        SetAddress(Reg.QueueDevice, queue.Used);
        if (vector != VirtioPciIds.NoVector)
        {
            SetVector(Reg.QueueMsixVector, vector);
        }

        if (enable)
        {
            Set(Reg.QueueEnable, 2, 1);
        }

        return queue;
    }

    /// <summary>Maps an event to a vector; the device has to take it.</summary>
    /// <param name="register">config_msix_vector or queue_msix_vector.</param>
    /// <param name="vector">The vector.</param>
    public void SetVector(int register, int vector)
    {
        Set(register, 2, (uint)vector);
        _context.Equal(register == Reg.ConfigMsixVector ? "config_msix_vector" : "queue_msix_vector", (uint)vector, Get(register, 2));
    }

    /// <summary>Writes a 64-bit field as two halves.</summary>
    /// <param name="register">Its offset.</param>
    /// <param name="value">The value.</param>
    public void SetAddress(int register, ulong value)
    {
        Set(register, 4, (uint)value);
        Set(register + 4, 4, value >> 32);
    }

    /// <summary>Lets the device master the bus and sets DRIVER_OK.</summary>
    public void Start()
    {
        SetBusMaster(true);
        AddStatus(DeviceStatus.DriverOk);
        _context.Require(
            (Status & (DeviceStatus.DriverOk | DeviceStatus.NeedsReset)) == DeviceStatus.DriverOk, "DRIVER_OK set", $"device_status = {Status}");
    }

    /// <summary>Sets or clears Bus Master Enable.</summary>
    /// <param name="on">Whether the function may master the bus.</param>
    public void SetBusMaster(bool on)
    {
        uint command = _context.Access.ReadConfiguration(ConfigurationRegisters.Command, 2) & ~(uint)PciCommand.BusMaster;
        _context.Access.WriteConfiguration(ConfigurationRegisters.Command, 2, command | (on ? (uint)PciCommand.BusMaster : 0));
    }

    /// <summary>Tells the device of a queue's buffers, in the form that the negotiated features have.</summary>
    /// <param name="queue">The queue.</param>
    public void Notify(RawQueue queue)
    {
        ArgumentNullException.ThrowIfNull(queue);
        bool data = (Features & TransportFeatures.NotificationData) != 0;
        ulong value = (uint)queue.Index | (data ? (ulong)queue.NextAvailable << 16 : 0);
        _context.Access.WriteBar(_structures.Notification.Bar, _structures.Notification.Offset + queue.NotifyOffset, data ? 4 : 2, value);
    }
}
