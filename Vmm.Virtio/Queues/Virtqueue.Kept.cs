using System;
using Vmm.DeviceModel.Memory;

namespace Vmm.Virtio.Queues;

/// <content>Chains that stay popped beyond the scope in which they were popped (CON-2).</content>
public abstract unsafe partial class Virtqueue
{
    private const int Heads = 1 << 16;

    // One bit a head (split) or buffer id (packed) that is in flight; made when the first chain is kept.
    private ulong[]? _inFlight;

    /// <summary>Chains that are kept now.</summary>
    public int KeptCount { get; private set; }

    /// <summary>
    /// Keeps the chain that was popped last beyond the scope: its guest memory is pinned, and it is counted as in flight. Before it is completed
    /// or given back it is released.
    /// </summary>
    /// <param name="chain">A popped chain that is not kept.</param>
    /// <returns>
    /// False if the ring is broken now: the driver made a chain available anew that is in flight, or its memory was removed meanwhile.
    /// </returns>
    public bool TryKeep(DescriptorChain chain)
    {
        ArgumentNullException.ThrowIfNull(chain);
        if (IsInFlight(chain.Head))
        {
            return BreakBecauseInFlight();
        }

        if (!chain.TryPin(View.Sources))
        {
            return Break("a buffer is not in RAM");
        }

        _inFlight ??= new ulong[Heads / 64];
        _inFlight[chain.Head / 64] |= 1UL << (chain.Head % 64);
        KeptCount++;
        chain.IsKept = true;
        return true;
    }

    /// <summary>Ends the keeping of a chain, which is then as if it had been popped in this scope. For the owner of the queue, inside a scope.</summary>
    /// <param name="chain">A kept chain.</param>
    public void Release(DescriptorChain chain)
    {
        ArgumentNullException.ThrowIfNull(chain);
        _inFlight![chain.Head / 64] &= ~(1UL << (chain.Head % 64));
        KeptCount--;
        chain.IsKept = false;
        chain.Unpin();
    }

    /// <summary>
    /// Breaks the ring if the chain that was popped last is in flight already: the driver made it available twice. Costs a comparison while
    /// nothing is kept.
    /// </summary>
    /// <param name="chain">A popped chain that is not kept.</param>
    /// <returns>False if the ring is broken now.</returns>
    public bool IsFresh(DescriptorChain chain)
    {
        ArgumentNullException.ThrowIfNull(chain);
        return KeptCount == 0 || !IsInFlight(chain.Head) || BreakBecauseInFlight();
    }

    /// <summary>
    /// Lets go of a kept chain that is never completed, because its queue has ended: what may have been written to it is marked (MEM-5), its
    /// memory is unpinned, the ring is not touched. From any thread.
    /// </summary>
    /// <param name="chain">A kept chain.</param>
    internal void Abandon(DescriptorChain chain)
    {
        GuestMemory memory = Dma.Memory;
        using (memory.Domain.Enter())
        {
            if (chain.WritableLength != 0 && memory.DirtyTracker is { } tracker)
            {
                chain.MarkWritable(tracker);
            }
        }

        chain.IsKept = false;
        chain.Unpin();
    }

    private bool IsInFlight(ushort head) => _inFlight is not null && (_inFlight[head / 64] & (1UL << (head % 64))) != 0;

    private bool BreakBecauseInFlight() => Break("a chain that is in flight is available again");
}
