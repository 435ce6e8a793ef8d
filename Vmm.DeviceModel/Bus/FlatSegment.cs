namespace Vmm.DeviceModel.Bus;

/// <summary>One run of a <see cref="FlatView"/>: claimed, or a gap that nobody claims.</summary>
internal struct FlatSegment
{
    /// <summary>First address.</summary>
    public ulong Start;

    /// <summary>Last address, inclusive.</summary>
    public ulong Last;

    /// <summary>Address of the claim's first byte, which may be hidden: an address minus this is the offset a handler sees.</summary>
    public ulong Base;

    /// <summary>Answers, or null in a gap. Replaced in place when the claim faults.</summary>
    public IRegionHandler? Handler;

    /// <summary>Who answers, or null in a gap.</summary>
    public Claim? Claim;

    /// <summary>Where reads are counted; writes are counted one further.</summary>
    public int Counter;
}
