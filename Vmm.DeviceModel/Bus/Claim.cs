using System;

namespace Vmm.DeviceModel.Bus;

/// <summary>Something that wants a range of an address space: a handler, host memory, or a doorbell.</summary>
/// <remarks>
/// A claim is added to, moved within and removed from one <see cref="AddressSpace"/> by an <see cref="AddressSpaceTransaction"/>.
/// Overlaps are legal; the higher <see cref="Priority"/> wins, among equals the one that was added last (BUS-7).
/// </remarks>
public abstract class Claim
{
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

    /// <summary>Length in bytes, at least 1.</summary>
    public ulong Length { get; }

    /// <summary>Higher wins where claims overlap; see <see cref="ClaimPriority"/> for the usual ones.</summary>
    public int Priority { get; }

    /// <summary>The space the claim is in, or null.</summary>
    public AddressSpace? Space { get; internal set; }

    /// <summary>First address while the claim is in a space.</summary>
    public ulong Base { get; internal set; }

    /// <summary>Order of adding, the tie-break among equal priorities.</summary>
    internal ulong Sequence { get; set; }
}
