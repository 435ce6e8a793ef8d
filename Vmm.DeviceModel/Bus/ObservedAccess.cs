namespace Vmm.DeviceModel.Bus;

/// <summary>An access, or a naturally aligned piece of one, as a handler answered it.</summary>
/// <param name="Claim">The claim.</param>
/// <param name="Handler">Its handler; it may know the names of what lies there (<see cref="IRegionNames"/>, <see cref="IRegionRouter"/>).</param>
/// <param name="Offset">Byte offset in the claim.</param>
/// <param name="Width">1, 2, 4 or 8.</param>
/// <param name="IsWrite">True for a write.</param>
/// <param name="Value">The value that was written or read, in the low bytes; 0 for a read that failed.</param>
/// <param name="Failed">True if the handler threw: a read gives all-ones then.</param>
public readonly record struct ObservedAccess(
    Claim Claim, IRegionHandler Handler, ulong Offset, int Width, bool IsWrite, ulong Value, bool Failed);
