using System;
using System.Numerics;
using Vmm.Pci.Capabilities;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Transport;

namespace Vmm.Machine.Catalogue;

/// <summary>The words that every virtio device has: its rings and how its PCI function carries it.</summary>
public static class VirtioWords
{
    /// <summary>What the words do, for the end of a help text.</summary>
    public const string Help = """
        A value is a list of words with commas between them: path=disk.img,readonly=on
        Every virtio device takes these, too:
          packed=on      offer packed rings
          in_order=on    offer IN_ORDER
          event_idx=off  offer no EVENT_IDX
          indirect=off   offer no indirect descriptors
          vectors=N      MSI-X vectors, 0 to 2048; 0 for INTx alone
          iommu=on       offer ACCESS_PLATFORM, and insist on it
          use_64bit_bar=off  registers below 4 GiB
          ring_reset=off  offer no RING_RESET
          notification_data=on  offer NOTIFICATION_DATA
          queue_size=N   descriptors of a queue, a power of two from 2 to 32768 (256)
          id=NAME        its name
        """;

    private static readonly string[] All =
    [
        "id", "packed", "in_order", "event_idx", "indirect", "vectors", "iommu", "use_64bit_bar", "ring_reset", "notification_data", "queue_size",
    ];

    /// <summary>The words.</summary>
    public static ReadOnlySpan<string> Known => All;

    /// <summary>Reads all but the id and the queue size, which are the device's.</summary>
    /// <param name="words">A device's words.</param>
    /// <exception cref="UsageException">A value is wrong.</exception>
    public static VirtioPciOptions Read(OptionValue words)
    {
        var defaults = new VirtioPciOptions();
        return defaults with
        {
            PackedRing = words.GetSwitch("packed", defaults.PackedRing),
            InOrder = words.GetSwitch("in_order", defaults.InOrder),
            EventIndex = words.GetSwitch("event_idx", defaults.EventIndex),
            IndirectDescriptors = words.GetSwitch("indirect", defaults.IndirectDescriptors),
            Vectors = words.GetNumber("vectors", 0, MsixCapability.MaximumVectors),
            AccessPlatform = words.GetSwitch("iommu", defaults.AccessPlatform),
            Use64BitBar = words.GetSwitch("use_64bit_bar", defaults.Use64BitBar),
            RingReset = words.GetSwitch("ring_reset", defaults.RingReset),
            NotificationData = words.GetSwitch("notification_data", defaults.NotificationData),
        };
    }

    /// <summary>Reads the queue size: a power of two, or null for the device's default.</summary>
    /// <param name="words">A device's words.</param>
    /// <exception cref="UsageException">It is not a size that a queue can have.</exception>
    public static ushort? ReadQueueSize(OptionValue words)
    {
        int? queueSize = words.GetNumber("queue_size", 2, Virtqueue.MaximumSize);
        return queueSize is { } size && !BitOperations.IsPow2(size) ? throw words.Bad("queue_size", "not a power of two") : (ushort?)queueSize;
    }
}
