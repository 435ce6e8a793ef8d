namespace Vmm.Virtio.Queues;

/// <summary>The device side of a virtqueue.</summary>
public abstract class Virtqueue
{
    private protected Virtqueue()
    {
    }
}
