using System;
using Vmm.Virtio.Spec;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Fuzz.Hostile;

/// <content>The registers, and what the driver was told by them.</content>
internal sealed partial class HostileDevice
{
    private HostileQueue Selected()
    {
        if (!_queues.TryGetValue(_select, out HostileQueue? queue))
        {
            _queues[_select] = queue = new HostileQueue(_profile.SizeOf(_select));
        }

        return queue;
    }

    private ulong Register(int at, int width)
    {
        HostileQueue queue = Selected();
        return at switch
        {
            Offset.DeviceFeatureSelect => _deviceFeatureSelect,
            Offset.DeviceFeature => _deviceFeatureSelect < 2 ? (uint)(_profile.Features >> (int)(32 * _deviceFeatureSelect)) : 0,
            Offset.DriverFeatureSelect => _driverFeatureSelect,
            Offset.DriverFeature => _driverFeatureSelect < 2 ? (uint)(_driverFeatures >> (int)(32 * _driverFeatureSelect)) : 0,
            Offset.ConfigMsixVector => _configurationVector,
            Offset.NumQueues => _profile.Queues,
            Offset.DeviceStatus => _status,
            Offset.ConfigGeneration => _generation,
            Offset.QueueSelect => _select,
            Offset.QueueSize => queue.Size,
            Offset.QueueMsixVector => queue.Vector,
            Offset.QueueEnable => queue.Enabled ? 1u : 0,
            Offset.QueueNotifyOff => _select,
            Offset.QueueNotifyData => _select,
            Offset.QueueReset => 0,
            _ => (ulong)_random.NextInt64(1L << Math.Min(62, 8 * width)),
        };
    }

    private ulong Elsewhere(int bar, ulong offset, int width)
    {
        if (TryFind(_layout.Isr, bar, offset, width, out _))
        {
            byte isr = _isr;
            _isr = 0;
            return isr;
        }

        // Device configuration stands still between two generations.
        return TryFind(_layout.Device, bar, offset, width, out int at)
            ? (ulong)(at + _generation + 1) * 0x0101_0101
            : HostileProfile.Interesting(_random);
    }

    /// <summary>What the driver was told counts, true or not.</summary>
    private void Told(int at, ulong value)
    {
        HostileQueue queue = Selected();
        if (at == Offset.DeviceStatus && value == 0 && _resetAsked)
        {
            foreach (HostileQueue each in _queues.Values)
            {
                each.Live = false;
            }
        }
        else if (at == Offset.QueueReset && value == 0 && queue.ResetAsked)
        {
            queue.ResetTold = true;
        }
        else if (at == Offset.QueueEnable && value == 0 && queue.ResetTold)
        {
            queue.Live = false;
        }
    }

    private void WriteRegister(int at, ulong value)
    {
        HostileQueue queue = Selected();
        switch (at)
        {
            case Offset.DeviceFeatureSelect:
                _deviceFeatureSelect = (uint)value;
                break;
            case Offset.DriverFeatureSelect:
                _driverFeatureSelect = (uint)value;
                break;
            case Offset.DriverFeature when _driverFeatureSelect < 2:
                int shift = 32 * (int)_driverFeatureSelect;
                _driverFeatures = (_driverFeatures & ~(0xffff_ffffUL << shift)) | (value << shift);
                break;
            case Offset.ConfigMsixVector:
                _configurationVector = (ushort)value;
                break;
            case Offset.DeviceStatus:
                WriteStatus((byte)value);
                break;
            case Offset.QueueSelect:
                _select = (ushort)value;
                break;
            case Offset.QueueSize:
                queue.Size = (ushort)value;
                break;
            case Offset.QueueMsixVector:
                queue.Vector = (ushort)value;
                break;
            case Offset.QueueEnable when value == 1:
                (queue.Enabled, queue.Live, queue.ResetAsked, queue.ResetTold) = (true, true, false, false);
                (queue.Next, queue.Wrap, queue.UsedIndex) = (0, true, 0);
                break;
            case Offset.QueueReset when value == 1:
                (queue.Enabled, queue.ResetAsked) = (false, true);
                break;

            // Of a queue that runs they stand still: a device that lies about where its other structures are gets writes of those here.
            case >= Offset.QueueDescriptors and < Offset.QueueDevice + 8 when !queue.Enabled:
                WriteArea(queue, at, (uint)value);
                break;
            case >= Offset.QueueDescriptors and < Offset.QueueDevice + 8 when _profile is { Damage: 0, RegisterLies: 0, Stuck: null }:
                Complain("an address of a queue that runs was changed");
                break;
        }
    }

    private static void WriteArea(HostileQueue queue, int at, uint half)
    {
        ulong Merge(ulong before) => at % 8 == 0 ? (before & ~0xffff_ffffUL) | half : (before & 0xffff_ffff) | ((ulong)half << 32);
        switch (at & ~7)
        {
            case Offset.QueueDescriptors:
                queue.Descriptors = Merge(queue.Descriptors);
                break;
            case Offset.QueueDriver:
                queue.Driver = Merge(queue.Driver);
                break;
            default:
                queue.Device = Merge(queue.Device);
                break;
        }
    }

    private void WriteStatus(byte value)
    {
        _status = value;
        _resetAsked = value == 0;
        if (value == 0)
        {
            foreach (HostileQueue queue in _queues.Values)
            {
                (queue.Enabled, queue.Vector) = (false, VirtioPciIds.NoVector);
            }
        }
    }
}
