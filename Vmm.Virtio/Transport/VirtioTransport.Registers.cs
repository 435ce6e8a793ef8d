using System.Threading;
using Vmm.DeviceModel.Registers;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Virtio.Transport;

/// <content>The common configuration structure (virtio 1.2, 4.1.4.3).</content>
internal sealed partial class VirtioTransport
{
    /// <summary>The registers. Accesses of any other width or offset read all-ones and are dropped (4.1.3.1).</summary>
    public static readonly RegisterMap<VirtioTransport> CommonConfiguration = new("common_cfg", Offset.Length, gap: RegisterGap.Ones)
    {
        {
            Offset.DeviceFeatureSelect, 4, RegisterAccess.ReadWrite, "device_feature_select",
            static t => t._deviceFeatureSelect, static (t, v) => t._deviceFeatureSelect = (uint)v
        },
        { Offset.DeviceFeature, 4, RegisterAccess.ReadOnly, "device_feature", static t => Bank(t._offered, t._deviceFeatureSelect) },
        {
            Offset.DriverFeatureSelect, 4, RegisterAccess.ReadWrite, "driver_feature_select",
            static t => t._driverFeatureSelect, static (t, v) => t._driverFeatureSelect = (uint)v
        },
        {
            Offset.DriverFeature, 4, RegisterAccess.ReadWrite, "driver_feature",
            static t => Bank(t.AcknowledgedFeatures & t._offered, t._driverFeatureSelect), static (t, v) => t.WriteDriverFeature((uint)v)
        },
        {
            Offset.ConfigMsixVector, 2, RegisterAccess.ReadWrite, "config_msix_vector",
            static t => t._host.ConfigurationVector, static (t, v) => t.WriteConfigurationVector((ushort)v)
        },
        { Offset.NumQueues, 2, RegisterAccess.ReadOnly, "num_queues", static t => (ulong)t._queues.Length },
        {
            Offset.DeviceStatus, 1, RegisterAccess.ReadWrite, "device_status",
            static t => (ulong)Volatile.Read(ref t._status), static (t, v) => t.WriteStatus((byte)v)
        },
        {
            Offset.ConfigGeneration, 1, RegisterAccess.ReadSideEffect, "config_generation",
            static t => t._generation.OnDriverRead(t.ConfigurationVersion)
        },
        { Offset.QueueSelect, 2, RegisterAccess.ReadWrite, "queue_select", static t => t._queueSelect, static (t, v) => t._queueSelect = (uint)v },
        { Offset.QueueSize, 2, RegisterAccess.ReadWrite, "queue_size", static t => t.Selected.Size, static (t, v) => t.WriteQueueSize((ushort)v) },
        {
            Offset.QueueMsixVector, 2, RegisterAccess.ReadWrite, "queue_msix_vector",
            static t => t.Selected.Vector, static (t, v) => t.WriteQueueVector((ushort)v)
        },
        {
            Offset.QueueEnable, 2, RegisterAccess.ReadWrite, "queue_enable",
            static t => t.Selected.IsEnabled ? 1UL : 0, static (t, v) => t.WriteQueueEnable(v)
        },
        { Offset.QueueNotifyOff, 2, RegisterAccess.ReadOnly, "queue_notify_off", static t => t.Selected.NotifyOffset },
        {
            Offset.QueueDescriptors, 8, RegisterAccess.ReadWrite, "queue_desc",
            static t => t.Selected.Descriptors, static (t, v) => t.WriteQueueAddress(v, static (q, a) => q.Descriptors = a)
        },
        {
            Offset.QueueDriver, 8, RegisterAccess.ReadWrite, "queue_driver",
            static t => t.Selected.Driver, static (t, v) => t.WriteQueueAddress(v, static (q, a) => q.Driver = a)
        },
        {
            Offset.QueueDevice, 8, RegisterAccess.ReadWrite, "queue_device",
            static t => t.Selected.Device, static (t, v) => t.WriteQueueAddress(v, static (q, a) => q.Device = a)
        },

        // Exists only with VIRTIO_F_NOTIF_CONFIG_DATA, which is not offered.
        { Offset.QueueNotifyData, 2, RegisterAccess.ReadOnly, "queue_notify_data", static _ => 0 },
        {
            Offset.QueueReset, 2, RegisterAccess.ReadWrite, "queue_reset",
            static t => t.Selected.IsResetting ? 1UL : 0, static (t, v) => t.WriteQueueReset(v)
        },

        // Fields of virtio 1.3 that count only with VIRTIO_F_ADMIN_VQ, which is not offered.
        { Offset.QueueReset + 2, 2, RegisterAccess.ReadOnly, "admin_queue_index", static _ => 0 },
        { Offset.QueueReset + 4, 2, RegisterAccess.ReadOnly, "admin_queue_num", static _ => 0 },
    };

    private delegate void SetAddress(QueueRegisters queue, ulong address);

    private ulong AcknowledgedFeatures => (Status & DeviceStatus.FeaturesOk) != 0
        ? Volatile.Read(ref _negotiated)
        : _driverFeaturesLow | ((ulong)_driverFeaturesHigh << 32);

    /// <summary>Reads device configuration; the generation has noticed that the driver looked.</summary>
    public ulong ReadDeviceConfiguration(int offset, int width)
    {
        ulong value = _device.ReadConfiguration(offset, width);
        _generation.OnDriverRead(ConfigurationVersion);
        return value;
    }

    /// <summary>Writes device configuration.</summary>
    public void WriteDeviceConfiguration(int offset, int width, ulong value) => _device.WriteConfiguration(offset, width, value);

    /// <summary>A notification that came as a write: what a doorbell would have done (4.1.5.2).</summary>
    /// <param name="index">The queue whose notify address it was.</param>
    /// <param name="width">2, or 4 with NOTIFICATION_DATA; either is taken whatever was negotiated.</param>
    /// <param name="value">What was written.</param>
    public void Notify(int index, int width, ulong value)
    {
        if ((uint)index < (uint)_queues.Length && width is 2 or 4 && _queues[index] is { IsEnabled: true } queue)
        {
            // Without an eventfd the queue has not been started; that serves what is in the ring already.
            queue.Kick?.Signal();
        }
        else
        {
            Mistake(GuestMistake.NotificationIgnored, value);
        }
    }

    /// <summary>32 of the feature bits; no bank above the second has any, whatever the selector.</summary>
    private static ulong Bank(ulong features, uint select) => select switch
    {
        0 => (uint)features,
        1 => features >> 32,
        _ => 0,
    };

    private void WriteDriverFeature(uint value)
    {
        if ((Status & DeviceStatus.FeaturesOk) != 0)
        {
            Mistake(GuestMistake.FeaturesFrozen, value);
        }
        else if (_driverFeatureSelect == 0)
        {
            _driverFeaturesLow = value;
        }
        else if (_driverFeatureSelect == 1)
        {
            _driverFeaturesHigh = value;
        }
    }

    private void WriteConfigurationVector(ushort vector)
    {
        if (!_host.TryMapConfiguration(vector))
        {
            Mistake(GuestMistake.VectorRefused, vector);
        }
    }

    private void WriteQueueSize(ushort size)
    {
        if (!IsConfigurable(Selected, size, out QueueRegisters queue))
        {
            return;
        }

        bool packed = (AcknowledgedFeatures & _offered & RingFeatures.Packed) != 0;
        if (size == 0 || size > queue.MaximumSize || (!packed && (size & (size - 1)) != 0))
        {
            Mistake(GuestMistake.QueueSizeRefused, size);
        }
        else
        {
            queue.Size = size;
        }
    }

    private void WriteQueueAddress(ulong address, SetAddress set)
    {
        if (IsConfigurable(Selected, address, out QueueRegisters queue))
        {
            set(queue, address);
        }
    }

    private void WriteQueueVector(ushort vector)
    {
        // Not frozen by queue_enable: a driver may move an event to another vector at any time.
        if (Selected.Interrupt is not { } interrupt)
        {
            Mistake(GuestMistake.NoSuchQueue, vector);
        }
        else if (!interrupt.TryMap(vector))
        {
            Mistake(GuestMistake.VectorRefused, vector);
        }
    }

    private void WriteQueueEnable(ulong value)
    {
        QueueRegisters queue = Selected;
        if (!queue.IsPresent)
        {
            Mistake(GuestMistake.NoSuchQueue, value);
        }
        else if (value != 1)
        {
            // "The driver MUST NOT write a 0 to queue_enable" (4.1.4.3.2).
            Mistake(GuestMistake.QueueDisableIgnored, value);
        }
        else if (!queue.IsEnabled && !queue.IsResetting)
        {
            queue.IsEnabled = true;
            if ((Status & DeviceStatus.DriverOk) != 0)
            {
                _host.RunAfterAccess(_startEnabledQueues);
            }
        }
    }

    private void WriteQueueReset(ulong value)
    {
        QueueRegisters queue = Selected;
        if (!queue.IsPresent)
        {
            Mistake(GuestMistake.NoSuchQueue, value);
        }
        else if (value != 1 || (NegotiatedFeatures & TransportFeatures.RingReset) == 0)
        {
            Mistake(GuestMistake.QueueResetIgnored, value);
        }
        else
        {
            queue.IsResetting = true;
            _host.RunAfterAccess(_resetQueues);
        }
    }

    private bool IsConfigurable(QueueRegisters selected, ulong value, out QueueRegisters queue)
    {
        queue = selected;
        if (selected.IsPresent && !selected.IsEnabled)
        {
            return true;
        }

        Mistake(selected.IsPresent ? GuestMistake.QueueFrozen : GuestMistake.NoSuchQueue, value);
        return false;
    }
}
