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

    /// <summary>The segment that begins where this one ends.</summary>
    public FlatSegment? Next;
}
