namespace Vmm.Pci.Access;

/// <summary>A part of a BAR of a device behind a backend.</summary>
/// <param name="Kind">How its user reaches it.</param>
/// <param name="Offset">First byte, by offset in the BAR.</param>
/// <param name="Length">Bytes, at least 1; whole pages if it is mapped.</param>
/// <param name="Mapping">Which of the plan's host mappings a mapped part lies in, else -1.</param>
public readonly record struct BarPiece(BarPieceKind Kind, ulong Offset, ulong Length, int Mapping = -1);
