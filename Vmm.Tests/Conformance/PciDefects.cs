namespace Vmm.Tests.Conformance;

/// <summary>What makes each check of the header, of BARs and of capability lists fail.</summary>
internal static class PciDefects
{
    private const uint Ones = uint.MaxValue;
    private const int PowerManagement = 1;
    private const int Express = 0x10;

    public static DefectTable Table { get; } = new()
    {
        { "PCI-HEADER-VENDOR", d => { d.ConfigByte(0, _ => 0xff); d.ConfigByte(1, _ => 0xff); } },
        { "PCI-HEADER-TYPE", d => d.ConfigByte(0x0e, b => b | 1) },
        { "PCI-HEADER-WIDTHS", d => d.OnConfigRead = (o, w, v) => (o, w) == (8, 1) ? v ^ 1 : v },
        { "PCI-HEADER-IDENTITY", d => d.StickyConfig(0x08, 4) },
        { "PCI-HEADER-SUBSYSTEM", d => d.StickyConfig(0x2c, 4) },
        { "PCI-HEADER-SUBSYSTEM-SET", d => { d.ConfigByte(0x2c, _ => 0); d.ConfigByte(0x2d, _ => 0); } },
        { "PCI-HEADER-RESERVED", d => d.StickyConfig(0x38, 4) },
        { "PCI-HEADER-BIST", d => d.StickyConfig(0x0f, 1) },
        { "PCI-HEADER-PIN", d => d.ConfigByte(0x3d, _ => 7) },
        { "PCI-HEADER-PIN-READ-ONLY", d => d.StickyConfig(0x3d, 1) },
        { "PCI-HEADER-LINE", d => d.LoseConfig(0x3c) },
        { "PCI-HEADER-POINTER", d => d.StickyConfig(0x34, 1) },
        { "PCI-HEADER-LATENCIES", d => d.StickyConfig(0x3e, 2) },

        { "PCI-COMMAND-POWER-ON", d => d.ConfigByte(5, b => b | 4) },
        { "PCI-COMMAND-MEMORY", d => d.OnConfigWrite = (o, _, v) => o == 4 ? v | 2 : v },
        { "PCI-COMMAND-MASTER", d => d.OnConfigWrite = (o, _, v) => o == 4 ? v & ~4u : v },
        { "PCI-COMMAND-INTERRUPT", d => d.OnConfigWrite = (o, _, v) => o == 4 ? v & ~0x400u : v },
        { "PCI-COMMAND-RESERVED", d => d.StickyConfig(5, 1) },
        { "PCI-COMMAND-BYTES", d => d.OnConfigWrite = (o, w, v) => { if ((o, w) == (4, 1)) { d.Inner.WriteConfiguration(4, 2, v); } return v; } },
        { "PCI-STATUS-RESERVED", d => d.ConfigByte(6, b => b | 2) },
        { "PCI-STATUS-READ-ONLY", d => d.StickyConfig(6, 2) },
        { "PCI-STATUS-CLEAR", d => d.ConfigByte(7, b => b | 0x20) },
        { "PCI-STATUS-BYTE", d => d.OnConfigWrite = (o, _, v) => { if (o == 7) { d.Inner.WriteConfiguration(4, 2, 0); } return v; } },
        { "PCI-STATUS-DWORD", d => d.StickyConfig(6, 2) },
        { "PCI-STATUS-LIST", d => d.ConfigByte(6, b => b & ~0x10u) },

        { "PCI-BAR-TYPE", d => d.ConfigByte(0x10, b => b | 2) },
        { "PCI-BAR-SIZING", d => d.OnConfigRead = (o, _, v) => o == 0x10 && v > 0xf000_0000 ? v & ~0x0010_0000u : v },
        { "PCI-BAR-SIZING-TYPE-BITS", d => d.OnConfigWrite = (o, _, v) => (o, v) == (0x10, 0xffff_fff0) ? null : v },
        { "PCI-BAR-SIZING-BYTES", d => d.LoseConfig(0x10, 8, width: 1) },
        { "PCI-BAR-SIZING-WORDS", d => d.LoseConfig(0x10, 8, width: 2) },
        { "PCI-BAR-SIZING-AGAIN", d => d.OnConfigWrite = (o, _, v) => (o, v) == (0x10, 0) ? null : v },
        { "PCI-BAR-WIDE-ORDER", d => d.OnConfigWrite = (o, _, v) => (o, v) == (0x14, Ones) && d.Inner.ReadConfiguration(0x10, 4) < 0x10 ? null : v },
        { "PCI-BAR-WIDE-HALVES", d => d.OnConfigWrite = (o, _, v) => { if (o == 0x14) { d.Inner.WriteConfiguration(0x10, 4, Ones); } return v; } },
        { "PCI-BAR-WIDE-LAST", d => { d.ConfigByte(0x24, b => b | 4); d.OnLength = (bar, length) => bar == 5 ? 0x1000 : length; } },
        { "PCI-BAR-ADDRESS", d => d.OnConfigWrite = (o, _, v) => o == 0x10 && v != Ones ? v & 0x7fff_ffff : v },
        { "PCI-BAR-LOW-BITS", LowBits },
        { "PCI-BAR-INDEPENDENT", Neighbour },
        { "PCI-BAR-ABSENT", d => d.StickyConfig(0x18, 4) },
        { "PCI-BAR-TYPE-READ-ONLY", d => d.StickyConfig(0x10, 1) },
        { "PCI-BAR-PORT-SIZE", "ports", d => d.OnConfigRead = (o, _, v) => o == 0x10 && v >= 0xff00 ? v & ~0x3ffu : v },

        { "PCI-DECODE-MEMORY", d => d.OnConfigWrite = (o, _, v) => o == 4 ? v | 2 : v },
        { "PCI-DECODE-KEEPS", d => d.OnConfigWrite = (o, _, v) => { if (o == 4 && (v & 2) == 0) { d.Inner.WriteBar(0, 8, 4, 0); } return v; } },
        { "PCI-DECODE-WRITE", d => d.OnConfigWrite = (o, _, v) => o == 4 ? v | 2 : v },
        { "PCI-DECODE-MOVE", DeafAfter(v => v is not (Ones or 0x8000_0004)) },
        { "PCI-DECODE-SIZING", DeafAfter(v => v == Ones) },
        { "PCI-ROM-SIZING", "rom", d => d.OnConfigRead = (o, _, v) => o == 0x30 && v > 0xf000_0000 ? v & ~0x0010_0000u : v },
        { "PCI-ROM-ENABLE", "rom", d => d.OnConfigWrite = (o, _, v) => o == 0x30 ? v & ~1u : v },
        { "PCI-ROM-ABSENT", StickyRomEnable },

        { "PCI-CAP-POINTER", d => d.ConfigByte(0x34, b => b | 1) },
        { "PCI-CAP-END", d => d.ConfigByte(d.Capabilities[^1].Offset + 1, _ => (uint)d.Capabilities[0].Offset) },
        { "PCI-CAP-ALIGNED", d => d.ConfigByte(d.Capabilities[0].Offset + 1, b => b | 2) },
        { "PCI-CAP-ID", d => d.ConfigByte(d.Capabilities[^1].Offset, _ => 0xff) },
        { "PCI-CAP-READ-ONLY", d => d.StickyConfig(d.Capabilities[0].Offset, 2) },
        { "PCI-CAP-OVERLAP", d => d.ConfigByte(d.Capabilities[0].Offset + 2, _ => 0x40) },
        { "PCI-CAP-SINGLE", d => d.ConfigByte(d.Find(PowerManagement), _ => 0x11) },
        { "PCI-CAP-VENDOR-LENGTH", d => d.ConfigByte(d.Capabilities[0].Offset + 2, _ => 2) },
        { "PCI-EXT-HEADER", d => d.OnConfigRead = (o, _, v) => o == 0x100 ? 0x0001_ffff : v },
        { "PCI-EXT-LIST", d => d.OnConfigRead = (o, _, v) => o == 0x100 ? 0x1001_0001 : v },
        { "PCI-EXT-READ-ONLY", d => d.StickyConfig(0x100, 4) },

        { "PCI-POWER-READ-BACK", d => d.LoseConfig(d.Find(PowerManagement) + 4) },
        { "PCI-POWER-CAPABILITIES", d => d.StickyConfig(d.Find(PowerManagement) + 2, 2) },
        { "PCI-POWER-OFF", d => d.LoseConfig(d.Find(PowerManagement) + 4) },
        { "PCI-POWER-ON", NeverBack },
        { "PCI-FLR-CLEARS", d => d.LoseConfig(d.Find(Express) + 8) },
        { "PCI-FLR-READ", d => d.ConfigByte(d.Find(Express) + 9, b => b | 0x80) },
    };

    private static void LowBits(DefectiveAccess d)
    {
        bool stored = false;
        d.OnConfigWrite = (o, _, v) =>
        {
            stored = o == 0x10 && v == 0x7fff_ffff;
            return v;
        };
        d.OnConfigRead = (o, _, v) => o == 0x10 && stored ? v | 0x100 : v;
    }

    private static void Neighbour(DefectiveAccess d)
    {
        bool sized = false;
        d.OnConfigWrite = (o, _, v) =>
        {
            sized |= o == 0x10 && v == Ones;
            return v;
        };
        d.OnConfigRead = (o, _, v) => o == 0x18 && sized ? v | 0x1000 : v;
    }

    private static System.Action<DefectiveAccess> DeafAfter(System.Predicate<uint> written) => d =>
    {
        bool deaf = false;
        d.OnConfigWrite = (o, _, v) =>
        {
            deaf |= o == 0x10 && written(v);
            return v;
        };
        d.OnRead = (_, w, v) => deaf ? ulong.MaxValue >> (64 - (8 * w)) : v;
    };

    private static void StickyRomEnable(DefectiveAccess d)
    {
        bool enabled = false;
        d.OnConfigWrite = (o, _, v) =>
        {
            enabled |= o == 0x30 && (v & 1) != 0;
            return v;
        };
        d.OnConfigRead = (o, _, v) => o == 0x30 && enabled ? v | 1 : v;
    }

    private static void NeverBack(DefectiveAccess d)
    {
        bool off = false;
        d.OnConfigWrite = (o, _, v) =>
        {
            off |= o == d.Find(PowerManagement) + 4 && (v & 3) == 3;
            return v;
        };
        d.OnRead = (_, w, v) => off ? ulong.MaxValue >> (64 - (8 * w)) : v;
    }
}
