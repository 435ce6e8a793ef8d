namespace Vmm.DeviceModel.Bus;

/// <summary>Where a claim is in a space, and since when compared with others.</summary>
/// <param name="Base">First address.</param>
/// <param name="Sequence">Order of adding, the tie-break among equal priorities.</param>
internal readonly record struct Placement(ulong Base, ulong Sequence);
