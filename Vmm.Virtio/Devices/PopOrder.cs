using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Chains in flight in the order in which they were popped, for a ring that is to have them back in that order. The worker's own.</summary>
internal struct PopOrder
{
    private DescriptorChain[]? _chains;
    private int _oldest;

    /// <summary>How many there are.</summary>
    public int Count { get; private set; }

    /// <summary>The one that was popped first; there is one.</summary>
    public readonly DescriptorChain Oldest => _chains![_oldest];

    /// <summary>Puts a chain behind the others.</summary>
    /// <param name="chain">The chain that was popped last.</param>
    /// <param name="size">Chains in flight at most, which is the size of the queue.</param>
    public void Add(DescriptorChain chain, int size)
    {
        _chains ??= new DescriptorChain[size];
        _chains[(_oldest + Count) % _chains.Length] = chain;
        Count++;
    }

    /// <summary>Takes out the one that was popped first.</summary>
    public void RemoveOldest()
    {
        _oldest = (_oldest + 1) % _chains!.Length;
        Count--;
    }

    /// <summary>Takes out the one that was popped last: it goes back into the ring.</summary>
    public void RemoveLatest() => Count--;
}
