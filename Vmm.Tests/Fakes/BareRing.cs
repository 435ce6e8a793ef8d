using System.Diagnostics.CodeAnalysis;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Fakes;

/// <summary>A ring without a device: nobody kicks it.</summary>
public static class BareRing
{
    private static readonly EventFd NoKick = new();

    public static bool TryCreate(
        VirtqueueConfiguration configuration,
        DmaTarget dma,
        IQueueInterrupt interrupt,
        [NotNullWhen(true)] out Virtqueue? queue,
        [NotNullWhen(false)] out string? reason)
    {
        var resources = new QueueResources { Configuration = configuration, Dma = dma, Kick = NoKick, Interrupt = interrupt };
        return Virtqueue.TryCreate(resources, out queue, out reason);
    }
}
