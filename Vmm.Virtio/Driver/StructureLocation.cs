namespace Vmm.Virtio.Driver;

/// <summary>Where a virtio structure lies.</summary>
/// <param name="Bar">Index of the BAR.</param>
/// <param name="Offset">Offset in the BAR, in bytes.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct StructureLocation(int Bar, uint Offset, uint Length);
