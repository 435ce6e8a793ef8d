using System;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Virtio.Spec;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Virtio.Driver;

/// <summary>The registers of a function's common configuration by name (virtio 1.2, 4.1.4.3), and raw.</summary>
/// <remarks>
/// Each property is one access of the field's width at each get or set; 64-bit fields are two of 32 bits, the low half first (4.1.3.1).
/// Nothing is remembered, and no order is kept: that is the caller's, as is what a selector points at. No lock.
/// </remarks>
public sealed class CommonConfigurationAccess
{
    private readonly IPciFunctionAccess _access;

    /// <summary>Names the registers.</summary>
    /// <param name="access">The function.</param>
    /// <param name="location">Where the structure lies, as discovered.</param>
    public CommonConfigurationAccess(IPciFunctionAccess access, StructureLocation location)
    {
        ArgumentNullException.ThrowIfNull(access);
        (_access, Location) = (access, location);
    }

    /// <summary>Where the structure lies.</summary>
    public StructureLocation Location { get; }

    /// <summary>device_feature_select: which 32 bits <see cref="DeviceFeature"/> shows.</summary>
    public uint DeviceFeatureSelect
    {
        get => (uint)Read(Offset.DeviceFeatureSelect, 4);
        set => Write(Offset.DeviceFeatureSelect, 4, value);
    }

    /// <summary>device_feature: offered bits of the selected bank.</summary>
    public uint DeviceFeature => (uint)Read(Offset.DeviceFeature, 4);

    /// <summary>driver_feature_select: which 32 bits <see cref="DriverFeature"/> shows.</summary>
    public uint DriverFeatureSelect
    {
        get => (uint)Read(Offset.DriverFeatureSelect, 4);
        set => Write(Offset.DriverFeatureSelect, 4, value);
    }

    /// <summary>driver_feature: acknowledged bits of the selected bank.</summary>
    public uint DriverFeature
    {
        get => (uint)Read(Offset.DriverFeature, 4);
        set => Write(Offset.DriverFeature, 4, value);
    }

    /// <summary>config_msix_vector; <see cref="VirtioPciIds.NoVector"/> for none.</summary>
    public ushort ConfigMsixVector
    {
        get => (ushort)Read(Offset.ConfigMsixVector, 2);
        set => Write(Offset.ConfigMsixVector, 2, value);
    }

    /// <summary>num_queues.</summary>
    public ushort NumQueues => (ushort)Read(Offset.NumQueues, 2);

    /// <summary>device_status.</summary>
    public DeviceStatus DeviceStatus
    {
        get => (DeviceStatus)Read(Offset.DeviceStatus, 1);
        set => Write(Offset.DeviceStatus, 1, (byte)value);
    }

    /// <summary>config_generation.</summary>
    public byte ConfigGeneration => (byte)Read(Offset.ConfigGeneration, 1);

    /// <summary>queue_select: which queue the fields below are of.</summary>
    public ushort QueueSelect
    {
        get => (ushort)Read(Offset.QueueSelect, 2);
        set => Write(Offset.QueueSelect, 2, value);
    }

    /// <summary>queue_size, in descriptors; 0 for a queue that the device has not.</summary>
    public ushort QueueSize
    {
        get => (ushort)Read(Offset.QueueSize, 2);
        set => Write(Offset.QueueSize, 2, value);
    }

    /// <summary>queue_msix_vector; <see cref="VirtioPciIds.NoVector"/> for none.</summary>
    public ushort QueueMsixVector
    {
        get => (ushort)Read(Offset.QueueMsixVector, 2);
        set => Write(Offset.QueueMsixVector, 2, value);
    }

    /// <summary>queue_enable.</summary>
    public ushort QueueEnable
    {
        get => (ushort)Read(Offset.QueueEnable, 2);
        set => Write(Offset.QueueEnable, 2, value);
    }

    /// <summary>queue_notify_off: times the multiplier of the notification capability it gives the queue's notify address.</summary>
    public ushort QueueNotifyOff => (ushort)Read(Offset.QueueNotifyOff, 2);

    /// <summary>queue_desc: the descriptor area.</summary>
    public ulong QueueDescriptors
    {
        get => ReadHalves(Offset.QueueDescriptors);
        set => WriteHalves(Offset.QueueDescriptors, value);
    }

    /// <summary>queue_driver: the driver area.</summary>
    public ulong QueueDriver
    {
        get => ReadHalves(Offset.QueueDriver);
        set => WriteHalves(Offset.QueueDriver, value);
    }

    /// <summary>queue_device: the device area.</summary>
    public ulong QueueDevice
    {
        get => ReadHalves(Offset.QueueDevice);
        set => WriteHalves(Offset.QueueDevice, value);
    }

    /// <summary>queue_notify_data: what to notify with instead of the queue's index, if VIRTIO_F_NOTIF_CONFIG_DATA is negotiated.</summary>
    public ushort QueueNotifyData => (ushort)Read(Offset.QueueNotifyData, 2);

    /// <summary>queue_reset: 1 while the selected queue is being reset, if VIRTIO_F_RING_RESET is negotiated.</summary>
    public ushort QueueReset
    {
        get => (ushort)Read(Offset.QueueReset, 2);
        set => Write(Offset.QueueReset, 2, value);
    }

    /// <summary>Reads any place of the structure with any width, also ones that the specification forbids.</summary>
    /// <param name="offset">Offset in the structure, for example of <see cref="CommonConfigurationOffset"/>.</param>
    /// <param name="width">1, 2, 4 or 8; the offset is a multiple of it.</param>
    /// <exception cref="ArgumentOutOfRangeException">The access lies outside the structure.</exception>
    public ulong Read(int offset, int width) => _access.ReadBar(Location.Bar, PlaceOf(offset, width), width);

    /// <summary>Writes any place of the structure with any width, also ones that the specification forbids.</summary>
    /// <param name="offset">Offset in the structure, for example of <see cref="CommonConfigurationOffset"/>.</param>
    /// <param name="width">1, 2, 4 or 8; the offset is a multiple of it.</param>
    /// <param name="value">Little-endian.</param>
    /// <exception cref="ArgumentOutOfRangeException">The access lies outside the structure.</exception>
    public void Write(int offset, int width, ulong value) => _access.WriteBar(Location.Bar, PlaceOf(offset, width), width, value);

    /// <summary>Reads both banks of offered features; leaves the selector at 1.</summary>
    public ulong ReadDeviceFeatures()
    {
        DeviceFeatureSelect = 0;
        ulong features = DeviceFeature;
        DeviceFeatureSelect = 1;
        return features | ((ulong)DeviceFeature << 32);
    }

    /// <summary>Reads both banks of acknowledged features; leaves the selector at 1.</summary>
    public ulong ReadDriverFeatures()
    {
        DriverFeatureSelect = 0;
        ulong features = DriverFeature;
        DriverFeatureSelect = 1;
        return features | ((ulong)DriverFeature << 32);
    }

    /// <summary>Writes both banks of acknowledged features; leaves the selector at 1.</summary>
    /// <param name="features">The bits.</param>
    public void WriteDriverFeatures(ulong features)
    {
        DriverFeatureSelect = 0;
        DriverFeature = (uint)features;
        DriverFeatureSelect = 1;
        DriverFeature = (uint)(features >> 32);
    }

    /// <summary>Resets the device and waits until its status reads 0 (2.4.2).</summary>
    /// <param name="timeout">How long to wait.</param>
    /// <returns>False if the status was not 0 in time.</returns>
    public bool TryReset(TimeSpan timeout)
    {
        DeviceStatus = DeviceStatus.None;
        return Deadline.TryWait(timeout, () => DeviceStatus == DeviceStatus.None);
    }

    private ulong ReadHalves(int offset) => Read(offset, 4) | (Read(offset + 4, 4) << 32);

    private void WriteHalves(int offset, ulong value)
    {
        Write(offset, 4, (uint)value);
        Write(offset + 4, 4, value >> 32);
    }

    private ulong PlaceOf(int offset, int width)
    {
        if (offset < 0 || !GuestRange.Fits((ulong)offset, (ulong)width, Location.Length))
        {
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{width} bytes there are not in a structure of {Location.Length}");
        }

        return Location.Offset + (ulong)offset;
    }
}
