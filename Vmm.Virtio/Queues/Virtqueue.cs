using System;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Interrupts;
using Vmm.DeviceModel.Memory;

namespace Vmm.Virtio.Queues;

/// <summary>The device side of a virtqueue (virtio 1.2, 2.6 to 2.8).</summary>
/// <remarks>
/// <para>A queue has one owner at a time and no lock: the worker that serves it while it runs, the transport otherwise.</para>
/// <para>
/// Everything that touches the ring, and every use of a popped chain, happens inside a scope of <see cref="Enter"/>: host pointers are valid
/// only there, and guest RAM can be removed between two scopes (MEM-4). A chain that is still popped at the end of a scope is given back
/// with <see cref="UndoPop"/> first, unless the device does not touch its buffers any more and only completes it; or it is kept
/// (<see cref="TryKeep"/>), which pins its memory until it is completed, in a scope, in whatever order (CON-2).
/// </para>
/// <para>
/// A driver's mistake latches <see cref="IsBroken"/>: from then on nothing is popped (what was popped before may complete), and the device tells
/// its host that it needs a reset (VTP-16). Nothing here throws on what a driver does, and nothing allocates while chains flow (VQ-7).
/// </para>
/// <para>
/// Where written memory is tracked (<see cref="GuestMemory.DirtyTracker"/>), completing a chain marks what the device says it wrote, giving one back
/// marks all that it might have written, and the ring marks its own writes (MEM-5). Without a tracker that costs one comparison each.
/// </para>
/// <para>
/// There are two forms of ring and no more. What is done for every chain tells them apart by a comparison instead of a virtual call, which machine
/// code without a profile could not see through.
/// </para>
/// </remarks>
public abstract partial class Virtqueue
{
    /// <summary>Largest queue size, in descriptors (2.6).</summary>
    public const int MaximumSize = 32768;

    private readonly DmaTarget _dma;
    private volatile string? _brokenReason;

    private protected Virtqueue(VirtqueueConfiguration configuration, DmaTarget dma, IInterruptVector interrupt)
    {
        Index = configuration.Index;
        Size = configuration.Size;
        Features = configuration.Features;
        _dma = dma;
        View = new DmaView(dma);
        _indirectLimit = Math.Max(Size, MinimumIndirectLimit);
        _indirect = (Features & RingFeatures.IndirectDescriptors) != 0;
        Interrupt = interrupt;
    }

    /// <summary>Queue index.</summary>
    public int Index { get; }

    /// <summary>Number of descriptors.</summary>
    public ushort Size { get; }

    /// <summary>Negotiated features.</summary>
    public ulong Features { get; }

    /// <summary>Where the used buffer notification goes.</summary>
    public IInterruptVector Interrupt { get; }

    /// <summary>True once the ring has been found malformed; stays so until the queue is made anew.</summary>
    public bool IsBroken => _brokenReason is not null;

    /// <summary>What was wrong with the ring, or null.</summary>
    public string? BrokenReason => _brokenReason;

    private protected DmaTarget Dma => _dma;

    /// <summary>Makes the device side of a ring out of what the driver programmed.</summary>
    /// <param name="resources">The resources that the device got for the queue.</param>
    /// <param name="queue">The queue.</param>
    /// <param name="reason">Why there is none: a bad size, a misaligned area, an area that is not RAM.</param>
    /// <returns>False if the driver's values cannot work; never throws because of them.</returns>
    public static bool TryCreate(
        QueueResources resources, [NotNullWhen(true)] out Virtqueue? queue, [NotNullWhen(false)] out string? reason)
    {
        ArgumentNullException.ThrowIfNull(resources);
        VirtqueueConfiguration configuration = resources.Configuration;
        queue = null;
        if ((configuration.Features & RingFeatures.Packed) != 0)
        {
            bool made = PackedVirtqueue.TryCreate(configuration, resources.Dma, resources.Interrupt, out PackedVirtqueue? packed, out reason);
            queue = packed;
            return made;
        }

        if (!SplitVirtqueue.TryCreate(configuration, resources.Dma, resources.Interrupt, out SplitVirtqueue? split, out reason))
        {
            return false;
        }

        queue = split;
        return true;
    }

    /// <summary>Begins a stay in which the ring and popped chains may be used; brings ring pointers up to date with guest RAM.</summary>
    /// <returns>Ends the stay when disposed, on the same thread.</returns>
    public AccessDomain.ReadScope Enter()
    {
        AccessDomain.ReadScope scope = _dma.Memory.Domain.Enter();
        try
        {
            Refresh();
            return scope;
        }
        catch
        {
            // A translator that throws must not leave the thread inside, where a removal of RAM would wait for it for ever.
            scope.Dispose();
            throw;
        }
    }

    /// <summary>Takes the next available chain and resolves its buffers to host memory.</summary>
    /// <param name="chain">Filled; what it held before is forgotten.</param>
    /// <returns>False if there is none, bus mastering is off, or the ring is broken.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryPop(DescriptorChain chain)
    {
        return this is SplitVirtqueue split ? split.TryPopHere(chain) : Unsafe.As<PackedVirtqueue>(this).TryPopHere(chain);
    }

    /// <summary>Gives back the chain that was popped last, so that it is popped again.</summary>
    /// <param name="chain">The chain of the last <see cref="TryPop"/> that was neither completed nor returned.</param>
    public abstract void UndoPop(DescriptorChain chain);

    /// <summary>Puts a chain into the used ring, visible to the driver at once; it is not signalled yet.</summary>
    /// <param name="chain">A popped chain; chains may complete in any order.</param>
    /// <param name="written">Bytes written from the start of its writable part.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Complete(DescriptorChain chain, uint written)
    {
        if (this is SplitVirtqueue split)
        {
            split.CompleteHere(chain, written);
        }
        else
        {
            Unsafe.As<PackedVirtqueue>(this).CompleteHere(chain, written);
        }
    }

    /// <summary>
    /// Completes several chains as one step: the driver sees all of them or none (net: the buffers of one packet, 5.1.6.4).
    /// </summary>
    /// <param name="chains">Popped chains in order of completion.</param>
    /// <param name="written">Bytes written to each.</param>
    public abstract void CompleteTogether(ReadOnlySpan<DescriptorChain> chains, ReadOnlySpan<uint> written);

    /// <summary>Whether the driver wants an interrupt for what was completed since this was asked last.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool NeedsInterrupt()
    {
        return this is SplitVirtqueue split ? split.NeedsInterruptHere() : Unsafe.As<PackedVirtqueue>(this).NeedsInterruptHere();
    }

    /// <summary>Signals the interrupt if the driver wants one for what was completed since the last call.</summary>
    /// <returns>True if it was signalled.</returns>
    public bool SignalIfNeeded()
    {
        if (!NeedsInterrupt())
        {
            return false;
        }

        Interrupt.Signal();
        return true;
    }

    /// <summary>Tells the driver that it need not notify: the device is looking anyway. A hint; kicks may still come.</summary>
    public abstract void DisableKicks();

    /// <summary>Asks the driver to notify when it adds a chain.</summary>
    /// <returns>True if chains arrived meanwhile: they may come without a kick, so pop again.</returns>
    public abstract bool EnableKicksAndCheckForMore();

    /// <summary>The device's place in the ring. Chains that are popped and not completed count as taken.</summary>
    public abstract VirtqueueState Save();

    /// <summary>Whether there is a chain to pop; it costs a load. Inside guest memory.</summary>
    internal abstract bool HasAvailable();

    /// <summary>
    /// <see cref="TryPop"/> by the walk that can do everything. <see cref="TryPop"/> goes that way only for what its own does not know; both take the
    /// same chains to the same buffers.
    /// </summary>
    internal abstract bool TryPopByAnyWay(DescriptorChain chain);

    /// <summary>Latches the ring as broken because of what the driver put into it, as a device sees it.</summary>
    /// <param name="reason">What was wrong; the first reason stays.</param>
    public void MarkBroken(string reason)
    {
        ArgumentException.ThrowIfNullOrEmpty(reason);
        if (_brokenReason is null)
        {
            _brokenReason = reason;
            OnBroken();
        }
    }

    /// <summary>
    /// Puts the ring out of reach of an owner that does not let go of it: nothing is popped or completed any more. Not the owner's own.
    /// </summary>
    internal void Revoke()
    {
        MarkBroken("the queue was taken away from its device");
        ForgetRing();
    }

    /// <summary>Resolves ring pointers anew if guest RAM has changed. The caller is inside the domain.</summary>
    private protected abstract void Refresh();

    /// <summary>Has no ring any more.</summary>
    private protected abstract void ForgetRing();

    private protected virtual void OnBroken()
    {
    }
}
