using System;
using System.Threading;
using Vmm.DeviceModel.Epochs;

namespace Vmm.DeviceModel.Bus;

/// <summary>Something that wants a range of an address space: a handler, host memory, or a doorbell.</summary>
/// <remarks>
/// A claim is added to, moved within and removed from one <see cref="AddressSpace"/> by an <see cref="AddressSpaceTransaction"/>.
/// Overlaps are legal; the higher <see cref="Priority"/> wins, among equals the one that was added last (BUS-7).
/// </remarks>
public abstract class Claim
{
    private AddressSpace? _space;
    private int _faulted;
    private string? _device;

    private protected Claim(string name, ulong length, int priority)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentOutOfRangeException.ThrowIfZero(length);
        Name = name;
        Length = length;
        Priority = priority;
    }

    /// <summary>Shown in logs, counters and the memory map, for example <c>00:03.0 bar4 common</c>.</summary>
    public string Name { get; }

    /// <summary>Name of the device that the claim belongs to, for traces; where nothing else is said the claim's own name.</summary>
    public string Device
    {
        get => _device ?? Name;
        init => _device = value;
    }

    /// <summary>Length in bytes, at least 1.</summary>
    public ulong Length { get; }

    /// <summary>Higher wins where claims overlap; see <see cref="ClaimPriority"/> for the usual ones.</summary>
    public int Priority { get; }

    /// <summary>
    /// True if the handler may wait for something outside this process, so that an access may take long. Such an access stalls its own vCPU and the
    /// removal of this claim; no other change of the space waits for it. False by default, which costs less an access.
    /// </summary>
    /// <remarks>
    /// The removal waits until the handler has returned, so it is the handler that bounds it, by a limit of its own or by what tells it that the
    /// device goes. An access that a handler of another claim makes of this one is a part of that claim's access: there the other claim must be
    /// declared blocking too. A doorbell has no handler; for it this says nothing.
    /// </remarks>
    public bool IsBlocking
    {
        get => BlockingCalls is not null;
        init => BlockingCalls = value ? new BlockingCalls() : null;
    }

    /// <summary>The space the claim is in, or null.</summary>
    public AddressSpace? Space => Volatile.Read(ref _space);

    /// <summary>First address while the claim is in a space.</summary>
    public ulong Base { get; internal set; }

    /// <summary>True once the handler has thrown; it is not called again in this stay in a space.</summary>
    internal bool HasFaulted => Volatile.Read(ref _faulted) != 0;

    /// <summary>
    /// True for a claim that a guest takes out of the space and puts back, as it does with a BAR's: the guest does not make the device well.
    /// </summary>
    internal bool FaultOutlivesRemoval { get; init; }

    /// <summary>The accesses that are in the handler of a blocking claim; null for any other.</summary>
    internal BlockingCalls? BlockingCalls { get; private init; }

    /// <summary>Where reads are counted while in a space; writes one further.</summary>
    internal int CounterPosition { get; set; }

    /// <summary>What the counters said when the position was given to the claim; they only grow.</summary>
    internal ClaimCounters CountedBefore { get; set; }

    /// <summary>What was counted in earlier stays in a space.</summary>
    internal ClaimCounters CountedEarlier { get; set; }

    /// <summary>What answers accesses: the claim's handler, or its stand-in after a fault.</summary>
    internal IRegionHandler? ActiveHandler => HasFaulted ? FaultedHandler.Instance : CreateHandler();

    /// <summary>Takes the claim into a space.</summary>
    /// <returns>False if it is in one already.</returns>
    internal bool TryEnter(AddressSpace space) => Interlocked.CompareExchange(ref _space, space, null) is null;

    /// <summary>Gives the claim free for another space.</summary>
    internal void Leave() => Volatile.Write(ref _space, null);

    /// <summary>Gives the handler another chance: the claim begins a stay in a space.</summary>
    internal void BeginStay()
    {
        if (!FaultOutlivesRemoval)
        {
            Volatile.Write(ref _faulted, 0);
        }
    }

    /// <summary>Marks the claim as faulted.</summary>
    /// <returns>False if it was already.</returns>
    internal bool TryMarkFaulted() => Interlocked.Exchange(ref _faulted, 1) == 0;

    /// <summary>What answers accesses; null for a claim that is not dispatched to.</summary>
    private protected abstract IRegionHandler? CreateHandler();
}
