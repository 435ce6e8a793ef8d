namespace Vmm.Pci.Access;

/// <summary>A part of a region.</summary>
/// <param name="Offset">First byte, by offset in the region.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct RegionArea(ulong Offset, ulong Length);
