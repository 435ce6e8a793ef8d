namespace Vmm.Pci.State;

/// <summary>A register of configuration space that does not have its power-on value.</summary>
/// <param name="Offset">A multiple of 4.</param>
/// <param name="Value">All four bytes.</param>
public sealed record RegisterState(int Offset, uint Value);
