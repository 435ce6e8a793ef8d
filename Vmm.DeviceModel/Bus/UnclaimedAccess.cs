namespace Vmm.DeviceModel.Bus;

/// <summary>An access that nobody answered.</summary>
/// <param name="Space">The address space.</param>
/// <param name="Address">First byte.</param>
/// <param name="Width">1 to 8 bytes.</param>
/// <param name="IsWrite">True for a write, which was dropped; false for a read, which returned all-ones.</param>
/// <param name="Value">What was written.</param>
/// <param name="Suppressed">How many earlier ones the rate limit kept from being reported since the last report.</param>
public readonly record struct UnclaimedAccess(AddressSpace Space, ulong Address, int Width, bool IsWrite, ulong Value, long Suppressed);
