using System;
using System.Linq;
using System.Numerics;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

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
            byte before = Common.ConfigGeneration;
            T result = read(ReadField);
            if (Common.ConfigGeneration == before)
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
        ulong offered = Common.ReadDeviceFeatures();
        ulong required = Options.RequiredFeatures | TransportFeatures.Version1;
        if ((required & ~offered) != 0 || (required & UnspokenFeatures) != 0)
        {
            throw new DriverException("features", $"0x{required:x} are required and 0x{offered & ~UnspokenFeatures:x} can be had");
        }

        // Behind an IOMMU the addresses are translated; IOVAs serve both kinds of device.
        ulong wanted = Options.WantedFeatures | TransportFeatures.AccessPlatform | required;
        Features = offered & wanted & ~UnspokenFeatures;
        Common.WriteDriverFeatures(Features);
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
            Common.ConfigMsixVector = 0;
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
        Common.QueueSelect = (ushort)index;
        int size = Math.Min(Common.QueueSize, maximumSize);
        if (size == 0 || Common.QueueEnable != 0)
        {
            throw new DriverException("queues", $"queue {index} is absent or enabled already");
        }

        size = 1 << BitOperations.Log2((uint)size);
        Common.QueueSize = (ushort)size;
        var queue = new DriverQueue(this, index, size, MapBuffer(DriverQueue.RingLength(size)))
        {
            NotifyOffset = GetNotifyOffset(index),
            HasInterrupt = Completion == CompletionMode.Pin,
        };
        if (vectors > 0)
        {
            // One of its own or shared; refused, the one of configuration changes; refused too, the queue is polled.
            int vector = vectors == 1 ? 0 : 1 + (index % (vectors - 1));
            queue.Vector = TrySetQueueVector(vector) ? vector : TrySetQueueVector(0) ? 0 : null;
            queue.HasInterrupt = queue.Vector is not null;
        }

        Common.QueueDescriptors = queue.Descriptors;
        Common.QueueDriver = queue.Available;
        Common.QueueDevice = queue.Used;
        lock (_queues)
        {
            _queues.Add(queue);
        }

        _anyEnabled = true;
        Common.QueueEnable = 1;
    }

    private ulong GetNotifyOffset(int index)
    {
        ulong offset = (ulong)Common.QueueNotifyOff * _structures.NotifyMultiplier;
        ulong width = (Features & TransportFeatures.NotificationData) != 0 ? 4UL : 2UL;
        if (!GuestRange.Fits(offset, width, _structures.Notification.Length) || (_structures.Notification.Offset + offset) % width != 0)
        {
            throw new DriverException("notification", $"the address of queue {index} lies outside the structure");
        }

        return offset;
    }

    private bool TrySetQueueVector(int vector)
    {
        Common.QueueMsixVector = (ushort)vector;
        return Common.QueueMsixVector == vector;
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
