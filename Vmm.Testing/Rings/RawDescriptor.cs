namespace Vmm.Testing.Rings;

/// <summary>A descriptor as a hostile driver may write it.</summary>
/// <param name="Address">Any value.</param>
/// <param name="Length">Any value.</param>
/// <param name="Flags">Flags as they stand in the ring; <see cref="RingDriver"/> names them.</param>
public readonly record struct RawDescriptor(ulong Address, uint Length, int Flags = 0);
