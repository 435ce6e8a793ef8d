using System;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel.Diagnostics;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>What every device can be told when it is made.</summary>
public abstract record VirtioDeviceOptions
{
    /// <summary>Names the device in logs and its threads, for example <c>disk0</c>.</summary>
    public string Id { get; init; } = "";

    /// <summary>Descriptors in each queue: a power of two, 2 to 32768.</summary>
    public ushort QueueSize { get; init; } = 256;

    /// <summary>Offer VIRTIO_F_INDIRECT_DESC.</summary>
    public bool IndirectDescriptors { get; init; } = true;

    /// <summary>Offer VIRTIO_F_EVENT_IDX.</summary>
    public bool EventIndex { get; init; } = true;

    /// <summary>
    /// How long a stop (a reset, the reset of a queue, an unplug) waits for requests in flight, for all queues together; 0 to 10 seconds. What is left
    /// then is dropped when it ends, and its guest memory stays pinned until that.
    /// </summary>
    public TimeSpan StopLimit { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// How long a worker looks for more requests at most before it sleeps, 0 to 1 ms. It adapts: a device with little to do is not looked at, and
    /// one that is told again and again within this time is. The time is a processor's, and shows in the inspection. By default 32 microseconds
    /// where there is a second processor, otherwise none.
    /// </summary>
    public TimeSpan PollLimit { get; init; } = Environment.ProcessorCount > 1 ? TimeSpan.FromMicroseconds(32) : TimeSpan.Zero;

    /// <summary>The clock of limits, and its timers, which call back on a thread of the pool.</summary>
    public TimeProvider Time
    {
        get;
        init
        {
            ArgumentNullException.ThrowIfNull(value);
            field = value;
        }
    }

        = TimeProvider.System;

    /// <summary>Where failures of the host side are logged. A log that throws loses the line and does no other harm.</summary>
    public ILogger Logger
    {
        get;
        init
        {
            ArgumentNullException.ThrowIfNull(value);
            field = GuardedLogger.Guard(value);
        }
    }

        = NullLogger.Instance;

    /// <summary>The ring features that the options ask for.</summary>
    public ulong OfferedRingFeatures =>
        (IndirectDescriptors ? RingFeatures.IndirectDescriptors : 0) | (EventIndex ? RingFeatures.EventIndex : 0);

    /// <summary>The name for logs.</summary>
    internal string NameOf(VirtioDeviceType type) => string.IsNullOrEmpty(Id) ? $"virtio-{type}" : Id;

    /// <summary>
    /// The name of a worker's thread: the kind of device, the id (which may begin with the kind itself) and the worker's number, as in
    /// <c>_disk0_q0</c> and <c>_disk_root_q0</c>. Who looks at the threads of a process sees the first 15 bytes of it, and the kind in any case.
    /// </summary>
    internal string ThreadNameOf(VirtioDeviceType type, int worker)
    {
        string kind = type switch
        {
            VirtioDeviceType.Block => "disk",
            VirtioDeviceType.Entropy => "rng",
            _ => type.ToString().ToLowerInvariant(),
        };
        string device = string.IsNullOrEmpty(Id) ? kind : Id.StartsWith(kind, StringComparison.Ordinal) ? Id : $"{kind}_{Id}";
        return $"_{device}_q{worker}";
    }

    /// <summary>Checks what the types cannot.</summary>
    internal void Validate()
    {
        if (QueueSize is < 2 or > Virtqueue.MaximumSize || (QueueSize & (QueueSize - 1)) != 0)
        {
            throw new ArgumentException($"the queue size must be a power of two from 2 to {Virtqueue.MaximumSize}, not {QueueSize}");
        }

        if (StopLimit < TimeSpan.Zero || StopLimit > TimeSpan.FromSeconds(10))
        {
            throw new ArgumentException($"the limit of a stop is 0 to 10 seconds, not {StopLimit}");
        }

        if (PollLimit < TimeSpan.Zero || PollLimit > TimeSpan.FromMilliseconds(1))
        {
            throw new ArgumentException($"the limit of polling is 0 to 1 millisecond, not {PollLimit}");
        }
    }
}
