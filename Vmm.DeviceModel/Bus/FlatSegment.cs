using System.Runtime.CompilerServices;

namespace Vmm.DeviceModel.Bus;

/// <summary>One run of a <see cref="FlatView"/>: claimed, or a gap that nobody claims.</summary>
internal sealed class FlatSegment
{
    /// <summary>Answers, or null in a gap. Replaced in place when the claim faults; all else is fixed once the view is made.</summary>
    public IRegionHandler? Handler;

    /// <summary>First address.</summary>
    public ulong Start;

    /// <summary>Last address, inclusive.</summary>
    public ulong Last;

    /// <summary>Address of the claim's first byte, which may be hidden: an address minus this is the offset a handler sees.</summary>
    public ulong Base;

    /// <summary>Where reads are counted; writes are counted one further.</summary>
    public int Counter;

    /// <summary>Who answers, or null in a gap.</summary>
    public Claim? Claim;

    /// <summary>The space, for what goes wrong; null in a gap.</summary>
    public AddressSpace? Space;

    /// <summary>
    /// One past the last byte that the short way of dispatch serves, or 0 if it serves none: in a gap, in a blocking claim, and in one whose base is
    /// not a multiple of the largest width, where an aligned address is no aligned offset. The top byte of the address space is left to the long way.
    /// </summary>
    public ulong ShortWayEnd;

    /// <summary>The segment that begins where this one ends.</summary>
    public FlatSegment? Next;

    /// <summary>True for an access that is one naturally aligned piece inside this segment.</summary>
    /// <param name="address">First byte; if the segment starts above it, the answer means nothing.</param>
    /// <param name="beyond">Width less one, 0 to 7.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool ServesWhole(ulong address, uint beyond)
    {
        // Aligned, so that the sum cannot wrap; a width that is no power of two shares a bit with its predecessor.
        return ((address | (beyond + 1)) & beyond) == 0 && address + beyond < ShortWayEnd;
    }

    /// <summary>Works out <see cref="ShortWayEnd"/>, when all else is set.</summary>
    public void Finish()
    {
        bool serves = Handler is not null && (Base & 7) == 0 && Claim is not { IsBlocking: true };
        ShortWayEnd = !serves ? 0 : Last == ulong.MaxValue ? Last : Last + 1;
    }
}
