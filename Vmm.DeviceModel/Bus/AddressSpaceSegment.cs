namespace Vmm.DeviceModel.Bus;

/// <summary>One row of the flattened view: a run of addresses that one claim answers.</summary>
/// <param name="Start">First address.</param>
/// <param name="Last">Last address, inclusive, so that the top byte of the space is expressible (BUS-1).</param>
/// <param name="Claim">Who answers.</param>
/// <param name="Offset">Offset in the claim at <paramref name="Start"/>.</param>
public readonly record struct AddressSpaceSegment(ulong Start, ulong Last, Claim Claim, ulong Offset);
