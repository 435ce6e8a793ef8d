namespace Vmm.Pci.State;

/// <summary>An entry of an MSI-X table, with its pending bit, that is not as at power-on.</summary>
/// <param name="Index">Index of the vector.</param>
/// <param name="Address">Message address.</param>
/// <param name="Data">Message data.</param>
/// <param name="Masked">The mask bit of Vector Control.</param>
/// <param name="Pending">The pending bit.</param>
public sealed record VectorState(int Index, ulong Address, uint Data, bool Masked, bool Pending);
