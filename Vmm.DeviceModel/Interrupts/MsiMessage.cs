namespace Vmm.DeviceModel.Interrupts;

/// <summary>A message-signalled interrupt: a write of <paramref name="Data"/> to <paramref name="Address"/>.</summary>
/// <param name="Address">Guest-physical address, 4-byte aligned.</param>
/// <param name="Data">Value written.</param>
public readonly record struct MsiMessage(ulong Address, uint Data);
