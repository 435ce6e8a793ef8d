namespace Vmm.Conformance.Driving;

/// <summary>One entry of a capability list.</summary>
/// <param name="Offset">Where it begins, in bytes.</param>
/// <param name="Id">Its id.</param>
/// <param name="Next">Where the next one begins, as it is written; 0 at the end.</param>
public readonly record struct PciCapabilityEntry(int Offset, int Id, int Next);
