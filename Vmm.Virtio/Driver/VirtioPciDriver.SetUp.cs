using System;
using System.Linq;
using System.Numerics;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Virtio.Driver;

/// <content>Negotiation, interrupts, queues, device configuration.</content>
public sealed partial class VirtioPciDriver
{
    private const int MaximumGenerations = 1000;

    // What changes the form of the rings in a way that DriverQueue does not speak.
    private const ulong UnspokenFeatures = RingFeatures.Packed | RingFeatures.EventIndex;

    /// <summary>Reads fields of device configuration that belong together: again, if the device changed them meanwhile (2.5.1, DRV-6).</summary>
    /// <typeparam name="T">What is made of the fields.</typeparam>
    /// <param name="read">Reads the fields, given a reader of offset and width 1, 2, 4 or 8; called again after a change.</param>
    /// <exception cref="DriverException">A field lies outside the structure, or the configuration never stands still.</exception>
    public T ReadDeviceConfiguration<T>(Func<Func<int, int, ulong>, T> read)
    {
        ArgumentNullException.ThrowIfNull(read);
        ObjectDisposedException.ThrowIf(_closed, this);
        for (int i = 0; i < MaximumGenerations; i++)
        {
            ulong before = Get(Reg.ConfigGeneration, 1);
            T result = read(ReadField);
            if (Get(Reg.ConfigGeneration, 1) == before)
            {
                return result;
            }
        }

        throw new DriverException("device configuration", $"the generation changed during each of {MaximumGenerations} reads");
    }

    private ulong ReadField(int offset, int width)
    {
        if (_structures.Device is not { } where || offset < 0 || !GuestRange.Fits((ulong)offset, (ulong)width, where.Length))
        {
            throw new DriverException("device configuration", $"there is no field of {width} bytes at 0x{offset:x}");
        }

        ulong at = where.Offset + (ulong)offset;
        return width == 8
            ? _access.ReadBar(where.Bar, at, 4) | (_access.ReadBar(where.Bar, at + 4, 4) << 32)
            : _access.ReadBar(where.Bar, at, width);
    }

    private void Negotiate()
    {
        AddStatus(DeviceStatus.Acknowledge);
        AddStatus(DeviceStatus.Driver);
        Set(Reg.DeviceFeatureSelect, 4, 0);
        ulong offered = Get(Reg.DeviceFeature, 4);
        Set(Reg.DeviceFeatureSelect, 4, 1);
        offered |= Get(Reg.DeviceFeature, 4) << 32;
        ulong required = Options.RequiredFeatures | TransportFeatures.Version1;
        if ((required & ~offered) != 0 || (required & UnspokenFeatures) != 0)
        {
            throw new DriverException("features", $"0x{required:x} are required and 0x{offered & ~UnspokenFeatures:x} can be had");
        }

        // Behind an IOMMU the addresses are translated; IOVAs serve both kinds of device.
        ulong wanted = Options.WantedFeatures | TransportFeatures.AccessPlatform | required;
        Features = offered & wanted & ~UnspokenFeatures;
        Set(Reg.DriverFeatureSelect, 4, 0);
        Set(Reg.DriverFeature, 4, (uint)Features);
        Set(Reg.DriverFeatureSelect, 4, 1);
        Set(Reg.DriverFeature, 4, Features >> 32);
        AddStatus(DeviceStatus.FeaturesOk);
        if ((Status & DeviceStatus.FeaturesOk) == 0)
        {
            throw new DriverException("FEATURES_OK", $"the device refuses 0x{Features:x}");
        }
    }

    /// <summary>Enables interrupts before any vector is written; returns the vectors in use.</summary>
    private int EnableInterrupts(int queues)
    {
        int vectors = Math.Min(Math.Min(_access.MessageVectors, Options.MaximumVectors), queues + 1);
        if (Options.Completion == CompletionMode.Messages && vectors > 0)
        {
            _access.EnableMessages(vectors, OnMessage);
            Completion = CompletionMode.Messages;
            _ = TrySetVector(Reg.ConfigMsixVector, 0);
            return vectors;
        }

        if (Options.Completion != CompletionMode.Polling && _access.HasPin && _structures.Isr is not null)
        {
            Completion = CompletionMode.Pin;
            _access.EnablePin(OnPin);
        }

        return 0;
    }

    private void SetUpQueue(int index, int maximumSize, int vectors)
    {
        Set(Reg.QueueSelect, 2, (uint)index);
        int size = Math.Min((int)Get(Reg.QueueSize, 2), maximumSize);
        if (size == 0 || Get(Reg.QueueEnable, 2) != 0)
        {
            throw new DriverException("queues", $"queue {index} is absent or enabled already");
        }

        size = 1 << BitOperations.Log2((uint)size);
        Set(Reg.QueueSize, 2, (uint)size);
        var queue = new DriverQueue(this, index, size, MapBuffer(DriverQueue.RingLength(size)))
        {
            NotifyOffset = GetNotifyOffset(index),
            HasInterrupt = Completion == CompletionMode.Pin,
        };
        if (vectors > 0)
        {
            // One of its own or shared; refused, the one of configuration changes; refused too, the queue is polled.
            int vector = vectors == 1 ? 0 : 1 + (index % (vectors - 1));
            queue.Vector = TrySetVector(Reg.QueueMsixVector, vector) ? vector : TrySetVector(Reg.QueueMsixVector, 0) ? 0 : null;
            queue.HasInterrupt = queue.Vector is not null;
        }

        SetAddress(Reg.QueueDescriptors, queue.Descriptors);
        SetAddress(Reg.QueueDriver, queue.Available);
        SetAddress(Reg.QueueDevice, queue.Used);
        lock (_queues)
        {
            _queues.Add(queue);
        }

        _anyEnabled = true;
        Set(Reg.QueueEnable, 2, 1);
    }

    private ulong GetNotifyOffset(int index)
    {
        ulong offset = Get(Reg.QueueNotifyOff, 2) * _structures.NotifyMultiplier;
        ulong width = (Features & TransportFeatures.NotificationData) != 0 ? 4UL : 2UL;
        if (!GuestRange.Fits(offset, width, _structures.Notification.Length) || (_structures.Notification.Offset + offset) % width != 0)
        {
            throw new DriverException("notification", $"the address of queue {index} lies outside the structure");
        }

        return offset;
    }

    private bool TrySetVector(int register, int vector)
    {
        Set(register, 2, (uint)vector);
        return Get(register, 2) == (uint)vector;
    }

    private void SetAddress(int register, ulong address)
    {
        Set(register, 4, (uint)address);
        Set(register + 4, 4, address >> 32);
    }

    private void OnMessage(int vector) => Wake(queue => queue.Vector == vector);

    private void OnPin() => Wake(static _ => true);

    private void Wake(Func<DriverQueue, bool> concerned)
    {
        lock (_queues)
        {
            foreach (DriverQueue queue in _queues.Where(concerned))
            {
                queue.Signal();
            }
        }
    }
}
