namespace Vmm.Pci.Access;

/// <summary>One entry of a device's own capability list, as it was found.</summary>
/// <param name="Id">Capability ID; 8 bits in the standard list, 16 in the extended one.</param>
/// <param name="Version">Version of an extended capability, else 0.</param>
/// <param name="Offset">Where its header lies, a multiple of 4.</param>
/// <param name="End">Where the next capability of either list starts, or the space ends: it has no byte from there on.</param>
public readonly record struct DeviceCapability(int Id, int Version, int Offset, int End)
{
    /// <summary>The most bytes that it can have.</summary>
    public int Room => End - Offset;
}
