using Vmm.DeviceModel.Registers;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Virtio.Transport;

/// <summary>The common configuration structure (virtio 1.2, 4.1.4.3): what each register shows, and which writes are taken.</summary>
/// <remarks>Registers are read and written by vCPU threads, several at once, without a lock. What they stand for is in the parts of the transport.</remarks>
internal sealed class CommonConfigurationRegisters
{
    /// <summary>The registers. Accesses of any other width or offset read all-ones and are dropped (4.1.3.1).</summary>
    public static readonly RegisterMap<CommonConfigurationRegisters> Map = new RegisterMap<CommonConfigurationRegisters>(
        "common_cfg", Offset.Length, gap: RegisterGap.Ones)
    {
        {
            Offset.DeviceFeatureSelect, 4, RegisterAccess.ReadWrite, "device_feature_select",
            static t => t._features.DeviceSelect, static (t, v) => t._features.DeviceSelect = (uint)v
        },
        { Offset.DeviceFeature, 4, RegisterAccess.ReadOnly, "device_feature", static t => t._features.ReadDeviceBank() },
        {
            Offset.DriverFeatureSelect, 4, RegisterAccess.ReadWrite, "driver_feature_select",
            static t => t._features.DriverSelect, static (t, v) => t._features.DriverSelect = (uint)v
        },
        {
            Offset.DriverFeature, 4, RegisterAccess.ReadWrite, "driver_feature",
            static t => t._features.ReadDriverBank(), static (t, v) => t.WriteDriverFeature((uint)v)
        },
        {
            Offset.ConfigMsixVector, 2, RegisterAccess.ReadWrite, "config_msix_vector",
            static t => t._host.ConfigurationVector, static (t, v) => t.WriteConfigurationVector((ushort)v)
        },
        { Offset.NumQueues, 2, RegisterAccess.ReadOnly, "num_queues", static t => (ulong)t._queues.Count },
        {
            Offset.DeviceStatus, 1, RegisterAccess.ReadWrite, "device_status",
            static t => (ulong)t._status.Value, static (t, v) => t._lifeCycle.WriteStatus((byte)v)
        },
        {
            Offset.ConfigGeneration, 1, RegisterAccess.ReadSideEffect, "config_generation",
            static t => t._announcements.ReadGeneration()
        },
        {
            Offset.QueueSelect, 2, RegisterAccess.ReadWrite, "queue_select",
            static t => t._queues.Select, static (t, v) => t._queues.Select = (uint)v
        },
        {
            Offset.QueueSize, 2, RegisterAccess.ReadWrite, "queue_size",
            static t => t._queues.Selected.Size, static (t, v) => t.WriteQueueSize((ushort)v)
        },
        {
            Offset.QueueMsixVector, 2, RegisterAccess.ReadWrite, "queue_msix_vector",
            static t => t._queues.Selected.Vector, static (t, v) => t.WriteQueueVector((ushort)v)
        },
        {
            Offset.QueueEnable, 2, RegisterAccess.ReadWrite, "queue_enable",
            static t => t._queues.Selected.IsEnabled ? 1UL : 0, static (t, v) => t.WriteQueueEnable(v)
        },
        { Offset.QueueNotifyOff, 2, RegisterAccess.ReadOnly, "queue_notify_off", static t => t._queues.Selected.NotifyOffset },
        {
            Offset.QueueDescriptors, 8, RegisterAccess.ReadWrite, "queue_desc",
            static t => t._queues.Selected.Descriptors, static (t, v) => t.WriteQueueAddress(v, static (q, a) => q.Descriptors = a)
        },
        {
            Offset.QueueDriver, 8, RegisterAccess.ReadWrite, "queue_driver",
            static t => t._queues.Selected.Driver, static (t, v) => t.WriteQueueAddress(v, static (q, a) => q.Driver = a)
        },
        {
            Offset.QueueDevice, 8, RegisterAccess.ReadWrite, "queue_device",
            static t => t._queues.Selected.Device, static (t, v) => t.WriteQueueAddress(v, static (q, a) => q.Device = a)
        },

        // Exists only with VIRTIO_F_NOTIF_CONFIG_DATA, which is not offered.
        { Offset.QueueNotifyData, 2, RegisterAccess.ReadOnly, "queue_notify_data", static _ => 0 },
        {
            Offset.QueueReset, 2, RegisterAccess.ReadWrite, "queue_reset",
            static t => t._queues.Selected.IsResetting ? 1UL : 0, static (t, v) => t.WriteQueueReset(v)
        },

        // Fields of virtio 1.3 that count only with VIRTIO_F_ADMIN_VQ, which is not offered.
        { Offset.QueueReset + 2, 2, RegisterAccess.ReadOnly, "admin_queue_index", static _ => 0 },
        { Offset.QueueReset + 4, 2, RegisterAccess.ReadOnly, "admin_queue_num", static _ => 0 },
    }.SelectedBy(
        static t => (int)t._queues.Select, "queue_size", "queue_msix_vector", "queue_enable", "queue_notify_off", "queue_desc", "queue_driver",
        "queue_device", "queue_notify_data", "queue_reset");

    private readonly ITransportHost _host;
    private readonly StatusRegister _status;
    private readonly FeatureNegotiation _features;
    private readonly DeviceAnnouncements _announcements;
    private readonly TransportQueues _queues;
    private readonly DeviceLifeCycle _lifeCycle;
    private readonly TransportReports _reports;

    public CommonConfigurationRegisters(
        ITransportHost host,
        StatusRegister status,
        FeatureNegotiation features,
        DeviceAnnouncements announcements,
        TransportQueues queues,
        DeviceLifeCycle lifeCycle,
        TransportReports reports)
    {
        _host = host;
        _status = status;
        _features = features;
        _announcements = announcements;
        _queues = queues;
        _lifeCycle = lifeCycle;
        _reports = reports;
    }

    private delegate void SetAddress(QueueRegisters queue, ulong address);

    private void WriteDriverFeature(uint value)
    {
        if (!_features.TryWriteDriverBank(value))
        {
            _reports.Mistake(GuestMistake.FeaturesFrozen, value);
        }
    }

    private void WriteConfigurationVector(ushort vector)
    {
        if (!_host.TryMapConfiguration(vector))
        {
            _reports.Mistake(GuestMistake.VectorRefused, vector);
        }
    }

    private void WriteQueueSize(ushort size)
    {
        if (!IsConfigurable(_queues.Selected, size, out QueueRegisters queue))
        {
            return;
        }

        bool packed = (_features.Acknowledged & _features.Offered & RingFeatures.Packed) != 0;
        if (size == 0 || size > queue.MaximumSize || (!packed && (size & (size - 1)) != 0))
        {
            _reports.Mistake(GuestMistake.QueueSizeRefused, size);
        }
        else
        {
            queue.Size = size;
        }
    }

    private void WriteQueueAddress(ulong address, SetAddress set)
    {
        if (IsConfigurable(_queues.Selected, address, out QueueRegisters queue))
        {
            set(queue, address);
        }
    }

    private void WriteQueueVector(ushort vector)
    {
        // Not frozen by queue_enable: a driver may move an event to another vector at any time.
        QueueRegisters queue = _queues.Selected;
        if (!queue.IsPresent)
        {
            _reports.Mistake(GuestMistake.NoSuchQueue, vector);
        }
        else if (!queue.TryMap(vector))
        {
            _reports.Mistake(GuestMistake.VectorRefused, vector);
        }
    }

    private void WriteQueueEnable(ulong value)
    {
        QueueRegisters queue = _queues.Selected;
        if (!queue.IsPresent)
        {
            _reports.Mistake(GuestMistake.NoSuchQueue, value);
        }
        else if (value != 1)
        {
            // "The driver MUST NOT write a 0 to queue_enable" (4.1.4.3.2).
            _reports.Mistake(GuestMistake.QueueDisableIgnored, value);
        }
        else if (!queue.IsEnabled && !queue.IsResetting)
        {
            queue.IsEnabled = true;
            if (_status.Has(DeviceStatus.DriverOk))
            {
                _lifeCycle.ScheduleQueueStart();
            }
        }
    }

    private void WriteQueueReset(ulong value)
    {
        QueueRegisters queue = _queues.Selected;
        if (!queue.IsPresent)
        {
            _reports.Mistake(GuestMistake.NoSuchQueue, value);
        }
        else if (value != 1 || (_features.Negotiated & TransportFeatures.RingReset) == 0)
        {
            _reports.Mistake(GuestMistake.QueueResetIgnored, value);
        }
        else
        {
            queue.IsResetting = true;
            _lifeCycle.ScheduleQueueReset();
        }
    }

    private bool IsConfigurable(QueueRegisters selected, ulong value, out QueueRegisters queue)
    {
        queue = selected;
        if (selected.IsPresent && !selected.IsEnabled)
        {
            return true;
        }

        _reports.Mistake(selected.IsPresent ? GuestMistake.QueueFrozen : GuestMistake.NoSuchQueue, value);
        return false;
    }
}
