using System.Threading;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>
/// Chains that were completed by other threads and that the worker has not looked at yet: it takes all of them at once, and whoever puts down the
/// first wakes it. Closed when the queue is taken away: what completes then is let go of by who completes it.
/// </summary>
/// <remarks>Any thread puts down; one at a time takes, opens or closes. No lock.</remarks>
internal struct CompletedChains
{
    private static readonly DescriptorChain Closed = new(1, 1);

    // The latest first.
    private DescriptorChain? _latest;

    /// <summary>Begins anew, empty.</summary>
    public void Open() => Volatile.Write(ref _latest, null);

    /// <summary>Puts a chain down.</summary>
    /// <param name="chain">The chain.</param>
    /// <param name="isFirst">True if the worker is to be woken for it.</param>
    /// <returns>False if the queue was taken away.</returns>
    public bool TryAdd(DescriptorChain chain, out bool isFirst)
    {
        while (true)
        {
            DescriptorChain? latest = Volatile.Read(ref _latest);
            isFirst = latest is null;
            if (latest == Closed)
            {
                return false;
            }

            chain.Next = latest;
            if (Interlocked.CompareExchange(ref _latest, chain, latest) == latest)
            {
                return true;
            }
        }
    }

    /// <summary>Moves what is there to the end of a list, in the order in which it was completed. Not while it is closed.</summary>
    /// <returns>True if there was something.</returns>
    public bool TryTake(ref ChainList into)
    {
        if (Volatile.Read(ref _latest) is null)
        {
            return false;
        }

        DescriptorChain? chain = Interlocked.Exchange(ref _latest, null);
        DescriptorChain? reversed = null;
        while (chain is not null)
        {
            DescriptorChain? next = chain.Next;
            chain.Next = reversed;
            reversed = chain;
            chain = next;
        }

        while (reversed is not null)
        {
            DescriptorChain? next = reversed.Next;
            into.Add(reversed);
            reversed = next;
        }

        return true;
    }

    /// <summary>Takes no further chain.</summary>
    /// <returns>Those that nobody has taken, linked by <see cref="DescriptorChain.Next"/>; null for none, also if it was closed already.</returns>
    public DescriptorChain? Close()
    {
        DescriptorChain? left = Interlocked.Exchange(ref _latest, Closed);
        return left == Closed ? null : left;
    }
}
