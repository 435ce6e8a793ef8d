namespace Vmm.Vfio.Passthrough;

/// <summary>A 16 or 32 bit field of the PCI Express capability that the guest does not read from the device.</summary>
/// <param name="Offset">Offset in the capability.</param>
/// <param name="Width">2 or 4.</param>
/// <param name="Value">What the guest reads.</param>
/// <param name="Mask">The bits that it reads so; the others come from the device.</param>
internal readonly record struct ExpressBits(int Offset, int Width, uint Value, uint Mask);
