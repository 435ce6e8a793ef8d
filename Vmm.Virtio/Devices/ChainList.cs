using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Chains one behind the other, linked by themselves: a chain is in one list at a time. For one thread.</summary>
internal struct ChainList
{
    private DescriptorChain? _last;

    /// <summary>The first, or null.</summary>
    public DescriptorChain? First { get; private set; }

    /// <summary>Puts a chain at the end.</summary>
    public void Add(DescriptorChain chain)
    {
        chain.Next = null;
        if (First is null)
        {
            First = chain;
        }
        else
        {
            _last!.Next = chain;
        }

        _last = chain;
    }

    /// <summary>Takes the first out, or null.</summary>
    public DescriptorChain? Take()
    {
        DescriptorChain? chain = First;
        if (chain is not null)
        {
            First = chain.Next;
            chain.Next = null;
        }

        return chain;
    }
}
