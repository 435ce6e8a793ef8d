namespace Vmm.Conformance.Driving;

/// <summary>A driver's hands on the MSI-X registers (PCI 3.0, 6.8.2).</summary>
internal sealed class MsixFixture(CheckContext check)
{
    public const uint Enable = 0x8000;
    public const uint FunctionMask = 0x4000;

    /// <summary>Bytes of the address, upper address, data and control words in an entry.</summary>
    public const int Control = 12;

    public const int Data = 8;

    /// <summary>The message control word.</summary>
    public uint MessageControl
    {
        get => check.Access.ReadConfiguration(check.Facts.Msix + 2, 2);
        set => check.Access.WriteConfiguration(check.Facts.Msix + 2, 2, value);
    }

    /// <summary>Reads a word of an entry.</summary>
    public uint Read(int entry, int offset) => (uint)check.Access.ReadBar(check.Facts.MsixTable.Bar, At(entry) + (uint)offset, 4);

    /// <summary>Writes a word of an entry.</summary>
    public void Write(int entry, int offset, uint value) => check.Access.WriteBar(check.Facts.MsixTable.Bar, At(entry) + (uint)offset, 4, value);

    /// <summary>Masks or unmasks an entry.</summary>
    public void SetMask(int entry, bool masked) => Write(entry, Control, masked ? 1u : 0);

    /// <summary>The pending bit of an entry.</summary>
    public bool IsPending(int entry)
    {
        ulong word = check.Access.ReadBar(check.Facts.MsixPending.Bar, check.Facts.MsixPending.Offset + (uint)(entry / 32 * 4), 4);
        return ((word >> (entry % 32)) & 1) != 0;
    }

    /// <summary>Offset of an entry in its BAR.</summary>
    public ulong At(int entry) => check.Facts.MsixTable.Offset + (ulong)(16 * entry);
}
