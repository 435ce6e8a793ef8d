namespace Vmm.Pci.Access;

/// <summary>What a device says of one kind of its interrupts.</summary>
/// <param name="Count">How many; 0 for none.</param>
/// <param name="CanGrow">More of them can be enabled while others are (no NORESIZE).</param>
/// <param name="IsAutomasked">It masks itself when it has signalled: a level, to be unmasked when it was served.</param>
public readonly record struct BackendInterrupt(int Count, bool CanGrow, bool IsAutomasked);
