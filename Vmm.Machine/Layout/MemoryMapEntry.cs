namespace Vmm.Machine.Layout;

/// <summary>One row of the memory map that the guest's kernel is handed (the E820 table of the boot protocol, the memory map of PVH).</summary>
/// <param name="Address">First byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Type">What the range is.</param>
public readonly record struct MemoryMapEntry(ulong Address, ulong Length, MemoryMapType Type);
