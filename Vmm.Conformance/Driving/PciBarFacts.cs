using Vmm.Pci.Spec;

namespace Vmm.Conformance.Driving;

/// <summary>One BAR, as its type bits and the way to the function say.</summary>
/// <param name="Index">0 to 5.</param>
/// <param name="IsPort">In I/O space.</param>
/// <param name="IsWide">64 bits wide: it takes the next register too.</param>
/// <param name="IsPrefetchable">Prefetchable memory.</param>
/// <param name="Length">Bytes; 0 if it cannot be reached.</param>
public readonly record struct PciBarFacts(int Index, bool IsPort, bool IsWide, bool IsPrefetchable, ulong Length)
{
    /// <summary>Offset of the register.</summary>
    public int Register => ConfigurationRegisters.Bar0 + (4 * Index);

    /// <summary>The bits of the low register that hold the address.</summary>
    public uint AddressMask => IsPort ? ~3u : ~15u;
}
