using System;
using System.Numerics;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Driver;

/// <content>Negotiation, queues, device configuration.</content>
public sealed partial class VirtioPciDriver
{
    private const int MaximumGenerations = 1000;

    // Of the bits that are the transport's business (24 to 41), those that the driver knows what to do with.
    private const ulong TransportBits = ((1UL << 42) - 1) & ~((1UL << 24) - 1);
    private static readonly ulong _spoken = VirtioDriverOptions.TransportFeaturesSpoken | TransportFeatures.Version1 | Unasked;

    // queue_notify_data and queue_reset lie behind what older devices have.
    private const ulong NeedsWholeStructure = TransportFeatures.NotificationConfigurationData | TransportFeatures.RingReset;

    private byte _seenGeneration;

    /// <summary>
    /// Taken where it is offered, wanted or not. On x86 memory that a device shares is coherent, and stores, loads and locked instructions
    /// order accesses for a device as they do for another processor: the barriers of queues are those for hardware as they are. Elsewhere barriers
    /// for hardware are others than those that the runtime has, so the driver does not claim them.
    /// </summary>
    private static ulong Unasked => TransportFeatures.AccessPlatform
        | (RuntimeInformation.ProcessArchitecture == Architecture.X64 ? TransportFeatures.OrderPlatform : 0);

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
                _seenGeneration = before;
                return result;
            }
        }

        throw new DriverException("device configuration", $"the generation changed during each of {MaximumGenerations} reads");
    }

    /// <summary>Writes a field of device configuration.</summary>
    /// <param name="offset">Offset in the structure, a multiple of the width.</param>
    /// <param name="width">1, 2 or 4.</param>
    /// <param name="value">Little-endian.</param>
    /// <exception cref="DriverException">The field lies outside the structure.</exception>
    public void WriteDeviceConfiguration(int offset, int width, ulong value)
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        StructureLocation where = LocateField(offset, width);
        _access.WriteBar(where.Bar, where.Offset + (ulong)offset, width, value);
    }

    private ulong ReadField(int offset, int width)
    {
        StructureLocation where = LocateField(offset, width);
        ulong at = where.Offset + (ulong)offset;
        return width == 8
            ? _access.ReadBar(where.Bar, at, 4) | (_access.ReadBar(where.Bar, at + 4, 4) << 32)
            : _access.ReadBar(where.Bar, at, width);
    }

    private StructureLocation LocateField(int offset, int width)
    {
        if (_structures.Device is not { } where || offset < 0 || !GuestRange.Fits((ulong)offset, (ulong)width, where.Length))
        {
            throw new DriverException("device configuration", $"there is no field of {width} bytes at 0x{offset:x}");
        }

        return where;
    }

    private void Negotiate()
    {
        AddStatus(DeviceStatus.Acknowledge);
        AddStatus(DeviceStatus.Driver);
        OfferedFeatures = Common.ReadDeviceFeatures();
        ulong unspoken = (TransportBits & ~_spoken) | (_structures.Common.Length < CommonConfigurationOffset.Length ? NeedsWholeStructure : 0);
        ulong available = OfferedFeatures & ~Options.RefusedFeatures & ~unspoken;
        ulong required = Options.RequiredFeatures | TransportFeatures.Version1;
        if ((required & ~available) != 0)
        {
            throw new DriverException("features", $"0x{required:x} are required and 0x{available:x} can be had");
        }

        Features = available & (Options.WantedFeatures | Unasked | required);
        Common.WriteDriverFeatures(Features);
        AddStatus(DeviceStatus.FeaturesOk);
        if ((Status & DeviceStatus.FeaturesOk) == 0)
        {
            throw new DriverException("FEATURES_OK", $"the device refuses 0x{Features:x}");
        }
    }

    private static void Check(DriverQueueOptions queue)
    {
        ArgumentNullException.ThrowIfNull(queue);
        ArgumentOutOfRangeException.ThrowIfNegative(queue.Index);
        ArgumentOutOfRangeException.ThrowIfNegative(queue.IndirectSegments);
        ArgumentOutOfRangeException.ThrowIfLessThan(queue.MaximumSize, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(queue.MaximumSize, Virtqueue.MaximumSize);
        ArgumentOutOfRangeException.ThrowIfLessThan(queue.MinimumSize, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(queue.MinimumSize, queue.MaximumSize);
        if (DriverQueue.TablesLength(queue, queue.MaximumSize) > int.MaxValue)
        {
            throw new ArgumentException($"{queue.MaximumSize} tables of {queue.IndirectSegments} entries are over 2 GiB", nameof(queue));
        }
    }

    private DriverQueue SetUpQueue(DriverQueueOptions options)
    {
        if (options.Index >= DeviceQueues)
        {
            throw new DriverException("queues", $"queue {options.Index} is wanted and the device has {DeviceQueues}");
        }

        Common.QueueSelect = (ushort)options.Index;
        int size = Math.Min(Common.QueueSize, options.MaximumSize);
        if (size == 0 || Common.QueueEnable != 0)
        {
            throw new DriverException("queues", $"queue {options.Index} is absent or enabled already");
        }

        bool packed = (Features & RingFeatures.Packed) != 0;
        size = packed ? size : 1 << BitOperations.Log2((uint)size);
        if (size < options.MinimumSize)
        {
            throw new DriverException("queues", $"queue {options.Index} has {size} descriptors and {options.MinimumSize} are needed");
        }

        Common.QueueSize = (ushort)size;
        if (Common.QueueSize != size)
        {
            throw new DriverException("queues", $"queue {options.Index} does not take a size of {size}");
        }

        (ulong notifyOffset, ushort notifyIdentifier) = LocateNotification(options.Index);
        DriverQueue queue = MakeQueue(options, size, packed);
        (queue.NotifyOffset, queue.NotifyIdentifier) = (notifyOffset, notifyIdentifier);
        SetUpInterrupt(queue);
        Common.QueueDescriptors = queue.DescriptorArea;
        Common.QueueDriver = queue.DriverArea;
        Common.QueueDevice = queue.DeviceArea;
        _queues = [.. _queues, queue];
        _anyEnabled = true;
        Common.QueueEnable = 1;
        return queue;
    }

    private DriverQueue MakeQueue(DriverQueueOptions options, int size, bool packed)
    {
        int tables = (Features & RingFeatures.IndirectDescriptors) != 0 ? (int)DriverQueue.TablesLength(options, size) : 0;
        IDmaBuffer ring = MapBuffer(packed ? PackedDriverQueue.RingLength(size) : SplitDriverQueue.RingLength(size));
        IDmaBuffer? table = null;
        try
        {
            table = tables == 0 ? null : MapBuffer(tables);
            return packed ? new PackedDriverQueue(this, options, size, ring, table) : new SplitDriverQueue(this, options, size, ring, table);
        }
        catch
        {
            Unmap(ring);
            throw;
        }
    }

    private (ulong Offset, ushort Identifier) LocateNotification(int index)
    {
        ulong offset = (ulong)Common.QueueNotifyOff * _structures.NotifyMultiplier;
        ulong width = (Features & TransportFeatures.NotificationData) != 0 ? 4UL : 2UL;
        if (!GuestRange.Fits(offset, width, _structures.Notification.Length) || (_structures.Notification.Offset + offset) % width != 0)
        {
            throw new DriverException("notification", $"the address of queue {index} lies outside the structure");
        }

        return (offset, (Features & TransportFeatures.NotificationConfigurationData) != 0 ? Common.QueueNotifyData : (ushort)index);
    }
}
