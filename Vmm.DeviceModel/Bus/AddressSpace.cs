using System;
using System.Collections.Generic;

namespace Vmm.DeviceModel.Bus;

/// <summary>A bus: dispatches accesses to the claims of an address space through a flat, immutable view.</summary>
public sealed class AddressSpace
{
    /// <summary>Makes an empty space.</summary>
    /// <param name="options">Kind, name and the seams to the hypervisor.</param>
    public AddressSpace(AddressSpaceOptions options) => throw new NotImplementedException();

    /// <summary>Memory or port I/O.</summary>
    public AddressSpaceKind Kind => throw new NotImplementedException();

    /// <summary>Shown in logs.</summary>
    public string Name => throw new NotImplementedException();

    /// <summary>The readers that a removal waits for.</summary>
    public AccessDomain Domain => throw new NotImplementedException();

    /// <summary>Reads 1 to 8 bytes; unclaimed bytes are ones. Never throws for a guest's address or a device's fault.</summary>
    /// <param name="address">First byte.</param>
    /// <param name="width">1 to 8.</param>
    public ulong Read(ulong address, int width) => throw new NotImplementedException();

    /// <summary>Writes 1 to 8 bytes; unclaimed bytes are dropped. Never throws for a guest's address or a device's fault.</summary>
    /// <param name="address">First byte.</param>
    /// <param name="width">1 to 8.</param>
    /// <param name="value">Little-endian.</param>
    public void Write(ulong address, int width, ulong value) => throw new NotImplementedException();

    /// <summary>Starts a set of changes that take effect together.</summary>
    public AddressSpaceTransaction BeginTransaction() => throw new NotImplementedException();

    /// <summary>Adds one claim (a transaction of one step).</summary>
    /// <param name="claim">A claim that is in no space.</param>
    /// <param name="baseAddress">Its first address.</param>
    public void Add(Claim claim, ulong baseAddress) => throw new NotImplementedException();

    /// <summary>Removes one claim; returns after the last access in flight to it has ended (BUS-6).</summary>
    /// <param name="claim">A claim of this space.</param>
    public void Remove(Claim claim) => throw new NotImplementedException();

    /// <summary>The flattened view as it is now, sorted by address.</summary>
    public IReadOnlyList<AddressSpaceSegment> Segments => throw new NotImplementedException();

    /// <summary>Counts of a claim, summed over all threads without stopping them.</summary>
    /// <param name="claim">A claim of this space.</param>
    public ClaimCounters GetCounters(Claim claim) => throw new NotImplementedException();

    /// <summary>Counts of accesses that nobody claimed.</summary>
    public ClaimCounters UnclaimedCounters => throw new NotImplementedException();

    /// <summary>True once the handler of the claim has thrown; it answers all-ones from then on (BUS-8).</summary>
    /// <param name="claim">A claim of this space.</param>
    public bool IsFaulted(Claim claim) => throw new NotImplementedException();
}
