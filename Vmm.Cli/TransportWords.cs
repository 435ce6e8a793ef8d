using System;
using System.Numerics;
using Vmm.Pci.Capabilities;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Transport;

namespace Vmm.Cli;

/// <summary>The words that every virtio device has: its rings and how its PCI function carries it.</summary>
internal static class TransportWords
{
    /// <summary>How the words look, for help texts.</summary>
    public const string Form = "[,id=NAME][,packed=on][,in_order=on][,event_idx=off][,indirect=off][,vectors=N][,iommu=on][,queue_size=N]";

    private static readonly string[] All = ["id", "packed", "in_order", "event_idx", "indirect", "vectors", "iommu", "queue_size"];

    /// <summary>The words.</summary>
    public static ReadOnlySpan<string> Known => All;

    /// <summary>Reads all but the id and the queue size, which are the device's.</summary>
    /// <exception cref="UsageException">A value is wrong.</exception>
    public static VirtioPciOptions Read(OptionWords words)
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
        };
    }

    /// <summary>Reads the queue size: a power of two, or null for the device's default.</summary>
    /// <exception cref="UsageException">It is not a size that a queue can have.</exception>
    public static ushort? ReadQueueSize(OptionWords words)
    {
        int? queueSize = words.GetNumber("queue_size", 2, Virtqueue.MaximumSize);
        return queueSize is { } size && !BitOperations.IsPow2(size) ? throw words.Bad("queue_size", "not a power of two") : (ushort?)queueSize;
    }
}
