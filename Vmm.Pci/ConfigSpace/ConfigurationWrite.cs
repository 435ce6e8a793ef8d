namespace Vmm.Pci.ConfigSpace;

/// <summary>What one write did to one 32-bit register.</summary>
/// <param name="Offset">Byte offset of the register, a multiple of 4.</param>
/// <param name="Lanes">The bytes that were written.</param>
/// <param name="Written">What was written, in its place in the register; bytes outside <paramref name="Lanes"/> are zero.</param>
/// <param name="Old">The register before.</param>
/// <param name="New">The register after; differs from <paramref name="Old"/> in writable bits of written bytes only.</param>
public readonly record struct ConfigurationWrite(int Offset, ByteLanes Lanes, uint Written, uint Old, uint New)
{
    /// <summary>The bits that changed.</summary>
    public uint Changed => Old ^ New;
}
