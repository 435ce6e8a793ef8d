using System;

namespace Vmm.Tests.Conformance;

/// <summary>What makes each check of MSI-X and of the pin fail.</summary>
internal static class InterruptDefects
{
    private const uint Enable = 0x8000;
    private const uint FunctionMask = 0x4000;
    private const ulong Ones = ulong.MaxValue;

    public static DefectTable Table { get; } = new()
    {
        { "MSIX-CAP-BIR", d => d.ConfigByte(d.Msix + 4, b => (b & ~7u) | 6) },
        { "MSIX-CAP-INSIDE", d => d.ConfigByte(d.Msix + 10, _ => 0x10) },
        { "MSIX-CAP-OVERLAP", d => d.OnConfigRead = (o, w, v) => o == d.Msix + 8 ? d.Inner.ReadConfiguration(d.Msix + 4, w) : v },
        { "MSIX-CAP-READ-ONLY", d => d.StickyConfig(d.Msix + 4, 4) },
        { "MSIX-CONTROL-RESERVED", d => d.ConfigByte(d.Msix + 3, b => b | 8) },
        { "MSIX-CONTROL-POWER-ON", d => d.ConfigByte(d.Msix + 3, b => b | 0x40) },
        { "MSIX-CONTROL-READ-BACK", d => d.OnConfigWrite = (o, _, v) => o == d.Msix + 2 ? v & ~FunctionMask : v },
        { "MSIX-CONTROL-BYTE", d => d.LoseConfig(d.Msix + 3, width: 1) },
        { "MSIX-CONTROL-DWORD", d => d.LoseConfig(d.Msix, width: 4) },
        { "MSIX-CONTROL-LOW-BYTE", d => Also(d, (o, w) => (o, w) == (d.Msix + 2, 1), () => d.Inner.WriteConfiguration(d.Msix + 2, 2, 0)) },
        { "MSIX-TABLE-POWER-ON", d => d.Read(d.Table + 12, v => v & ~1UL) },
        { "MSIX-TABLE-READ-BACK", d => d.Read(d.Table + 8, v => v & 0xffff) },
        { "MSIX-TABLE-ENTRIES", d => d.Write(d.Table + 16, v => { d.Inner.WriteBar(0, d.Table, 4, v); return v; }) },
        { "MSIX-TABLE-WIDE-READ", d => d.OnRead = (o, w, v) => o >= d.Table && w == 8 ? Ones : v },
        { "MSIX-TABLE-WIDE-WRITE", d => d.OnWrite = (o, w, v) => o >= d.Table && w == 8 ? null : v },
        { "MSIX-TABLE-KEEPS", d => Also(d, (o, _) => o == d.Msix + 2, () => d.Inner.WriteBar(0, d.Table + 8, 4, 0)) },
        { "MSIX-PENDING-CLEAR", d => d.Read(d.Pending, v => v | 1) },
        { "MSIX-PENDING-WIDE", d => d.OnRead = (o, w, v) => o == d.Pending && w == 8 ? Ones : v },

        { "MSIX-DELIVER", d => d.OnMessage = _ => null },
        { "MSIX-ENTRY-MASK", d => d.Write(d.Table + 12, v => (v & 1) != 0 ? null : v) },
        { "MSIX-ENTRY-UNMASK", d => d.Write(d.Table + 12, v => (v & 1) == 0 ? null : v) },
        { "MSIX-FUNCTION-MASK", d => d.OnConfigWrite = (o, _, v) => o == d.Msix + 2 ? v & ~FunctionMask : v },
        { "MSIX-FUNCTION-UNMASK", d => d.OnConfigWrite = (o, _, v) => o == d.Msix + 2 ? v | FunctionMask : v },
        { "MSIX-MASKS-BOTH", d => d.OnConfigWrite = (o, _, v) => { if ((o, v) == (d.Msix + 2, Enable)) { d.Inner.WriteBar(0, d.Table + 12, 4, 0); } return v; } },
        { "MSIX-MASK-OTHERS", d => d.Write(d.Table + 28, v => { d.Inner.WriteBar(0, d.Table + 12, 4, v); return v; }) },
        { "MSIX-UNMASK-QUIET", TellAtUnmask },
        { "MSIX-PENDING-ONCE", TellAtUnmask },
        { "MSIX-MASK-AGAIN", TellAtUnmask },
        { "MSIX-DATA", d => d.Write(d.Table + 8, _ => null) },
        { "MSIX-DISABLED", d => d.OnConfigWrite = (o, _, v) => (o, v) == (d.Msix + 2, 0) ? null : v },
        { "MSIX-MASTER", d => d.OnConfigWrite = (o, _, v) => o == 4 ? v | 4 : v },
        { "MSIX-PIN", d => d.OnMessage = v => { d.TellPin(); return v; } },

        { "PCI-PIN-ASSERT", d => d.OnPin = () => false },
        { "PCI-PIN-STATUS", d => d.ConfigByte(6, b => b & ~8u) },
        { "PCI-PIN-STATUS-READ-ONLY", StatusCleared },
        { "PCI-PIN-DISABLE", d => d.OnConfigWrite = (o, _, v) => o == 4 ? v & ~0x400u : v },
        { "PCI-PIN-DISABLED-STATUS", d => d.ConfigByte(6, b => (d.Inner.ReadConfiguration(4, 2) & 0x400) != 0 ? b & ~8u : b) },
        { "PCI-PIN-ENABLE", LostByDisable },
        { "PCI-PIN-AGAIN", d => d.OnPin = Once() },
        { "PCI-MASTER-DMA", d => d.OnConfigWrite = (o, _, v) => o == 4 ? v | 4 : v },
        { "PCI-MASTER-RESUME", MasterNeverBack },
    };

    private static void Also(DefectiveAccess d, Func<int, int, bool> when, Action action) => d.OnConfigWrite = (o, w, v) =>
    {
        if (when(o, w))
        {
            action();
        }

        return v;
    };

    private static void TellAtUnmask(DefectiveAccess d) => d.Write(d.Table + 12, v =>
    {
        if ((v & 1) == 0)
        {
            d.Tell(0);
        }

        return v;
    });

    private static void StatusCleared(DefectiveAccess d)
    {
        bool cleared = false;
        Also(d, (o, _) => o == 6, () => cleared = true);
        d.ConfigByte(6, b => cleared ? b & ~8u : b);
    }

    private static void LostByDisable(DefectiveAccess d)
    {
        bool lost = false;
        d.OnConfigWrite = (o, _, v) =>
        {
            lost |= o == 4 && (v & 0x400) != 0;
            return v;
        };
        d.OnPin = () => !lost;
    }

    private static Func<bool> Once()
    {
        int count = 0;
        return () => count++ == 0;
    }

    private static void MasterNeverBack(DefectiveAccess d)
    {
        bool mastered = false;
        bool gone = false;
        d.OnConfigWrite = (o, _, v) =>
        {
            if (o == 4)
            {
                gone |= mastered && (v & 4) == 0;
                mastered |= (v & 4) != 0;
                return gone ? v & ~4u : v;
            }

            return v;
        };
    }
}
