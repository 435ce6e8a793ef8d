using System.Linq;
using Vmm.Conformance.Driving;
using static Vmm.Conformance.CheckContext;

namespace Vmm.Conformance.Pci;

/// <summary>The MSI-X capability and its table (PCI 3.0, 6.8.2).</summary>
internal static class MsixStructureChecks
{
    private const uint ReservedControl = 0x3800;
    private const uint TableSize = 0x07ff;

    public static CheckGroup Group { get; } = new("MSI-X capability and table", "PCI 3.0")
    {
        { "MSIX-CAP-BIR", "6.8.2.4", "Table and pending bit array name a memory BAR that there is", Bir, Need.Msix },
        { "MSIX-CAP-INSIDE", "6.8.2", "Table and pending bit array lie inside their BARs", Inside, Need.Msix },
        { "MSIX-CAP-OVERLAP", "6.8.2", "Table and pending bit array do not overlap", Overlap, Need.Msix },
        { "MSIX-CAP-READ-ONLY", "6.8.2.3", "Table size and both locations are read-only", LocationsReadOnly, Need.Msix },
        { "MSIX-CONTROL-RESERVED", "6.8.2.3", "Reserved bits of the message control word read as zero, whatever is written", ControlReserved, Need.Msix },
        { "MSIX-CONTROL-POWER-ON", "6.8.2.3", "After power-on MSI-X is disabled and the function mask clear", ControlPowerOn, Need.Msix | Need.PowerOn },
        { "MSIX-CONTROL-READ-BACK", "6.8.2.3", "MSI-X Enable and Function Mask read back as they are written", ControlReadBack, Need.MessageTable },
        { "MSIX-CONTROL-BYTE", "3.2.2.3", "MSI-X Enable and Function Mask can be written as one byte", ControlByte, Need.MessageTable },
        { "MSIX-CONTROL-DWORD", "3.2.2.3", "MSI-X Enable and Function Mask can be written together with the capability header", ControlDword, Need.MessageTable },
        { "MSIX-CONTROL-LOW-BYTE", "3.2.2.3", "A write of the low byte of the message control word leaves Enable and Function Mask alone", ControlLowByte, Need.MessageTable },
        { "MSIX-TABLE-POWER-ON", "6.8.2.9", "After power-on every entry of the table is masked", TablePowerOn, Need.MessageTable | Need.PowerOn },
        { "MSIX-TABLE-READ-BACK", "6.8.2.6", "Address, data and mask of an entry read back as they are written", TableReadBack, Need.MessageTable },
        { "MSIX-TABLE-ENTRIES", "6.8.2.6", "Entries are independent of each other", TableEntries, Need.MessageTable | Need.TwoVectors },
        { "MSIX-TABLE-WIDE-READ", "6.8.2", "The table can be read in aligned 8-byte accesses", TableWideRead, Need.MessageTable },
        { "MSIX-TABLE-WIDE-WRITE", "6.8.2", "The table can be written in aligned 8-byte accesses", TableWideWrite, Need.MessageTable },
        { "MSIX-TABLE-KEEPS", "6.8.2.3", "Enabling and disabling MSI-X leaves the table alone", TableKeeps, Need.MessageTable },
        { "MSIX-PENDING-CLEAR", "6.8.2.10", "Without an event no pending bit is set", PendingClear, Need.MessageTable },
        { "MSIX-PENDING-WIDE", "6.8.2", "The pending bit array can be read in aligned 8-byte accesses", PendingWide, Need.MessageTable },
    };

    private static void Bir(CheckContext check)
    {
        foreach ((string what, int bar) in Locations(check).Select(l => (l.What, l.Bar)))
        {
            check.Require(check.Facts.Bars.Any(b => b.Index == bar && !b.IsPort), $"a memory BAR for the {what}", $"BAR {bar}");
        }
    }

    private static void Inside(CheckContext check)
    {
        foreach ((string what, int bar, uint offset, uint length) in Locations(check))
        {
            ulong end = (ulong)offset + length;
            check.Require(
                end <= check.Access.GetBarLength(bar), $"the {what} inside the {Hex(check.Access.GetBarLength(bar))} bytes of BAR {bar}",
                $"its end at {Hex(end)}");
        }
    }

    private static void Overlap(CheckContext check)
    {
        (_, int tableBar, uint table, uint tableLength) = Locations(check)[0];
        (_, int pendingBar, uint pending, uint pendingLength) = Locations(check)[1];
        bool apart = tableBar != pendingBar || (ulong)table + tableLength <= pending || (ulong)pending + pendingLength <= table;
        check.Require(apart, "table and pending bit array apart", $"table at {Hex(table)}, {Hex(tableLength)} bytes, array at {Hex(pending)}");
    }

    private static void LocationsReadOnly(CheckContext check)
    {
        check.ReadOnly(check.Facts.Msix + 4, 4);
        check.ReadOnly(check.Facts.Msix + 8, 4);
        uint size = Hand(check).MessageControl & TableSize;
        Hand(check).MessageControl = (size ^ TableSize) & TableSize;
        check.Equal("Table Size", size, Hand(check).MessageControl & TableSize);
    }

    private static void ControlReserved(CheckContext check)
    {
        Hand(check).MessageControl = ReservedControl;
        check.Equal("reserved bits of the message control word", 0, Hand(check).MessageControl & ReservedControl);
    }

    private static void ControlPowerOn(CheckContext check) =>
        check.Equal("MSI-X Enable and Function Mask", 0, check.InitialMessageControl & (MsixFixture.Enable | MsixFixture.FunctionMask));

    private static void ControlReadBack(CheckContext check)
    {
        uint size = Hand(check).MessageControl & TableSize;
        foreach (uint value in (uint[])[MsixFixture.FunctionMask, MsixFixture.FunctionMask | MsixFixture.Enable, MsixFixture.Enable, 0])
        {
            Hand(check).MessageControl = value;
            check.Equal("message control word", value | size, Hand(check).MessageControl);
        }
    }

    private static void ControlByte(CheckContext check)
    {
        uint size = Hand(check).MessageControl & TableSize;
        foreach (uint value in (uint[])[MsixFixture.FunctionMask, MsixFixture.FunctionMask | MsixFixture.Enable, 0])
        {
            check.Access.WriteConfiguration(check.Facts.Msix + 3, 1, value >> 8);
            check.Equal("message control word after its upper byte was written", value | size, Hand(check).MessageControl);
        }
    }

    private static void ControlDword(CheckContext check)
    {
        uint before = check.Access.ReadConfiguration(check.Facts.Msix, 4);
        foreach (uint value in (uint[])[MsixFixture.FunctionMask, MsixFixture.FunctionMask | MsixFixture.Enable, 0])
        {
            check.Access.WriteConfiguration(check.Facts.Msix, 4, before | (value << 16));
            check.Equal("capability header and message control word", before | (value << 16), check.Access.ReadConfiguration(check.Facts.Msix, 4));
        }
    }

    private static void ControlLowByte(CheckContext check)
    {
        Hand(check).MessageControl = MsixFixture.FunctionMask | MsixFixture.Enable;
        uint before = Hand(check).MessageControl;
        check.Access.WriteConfiguration(check.Facts.Msix + 2, 1, 0);
        check.Equal("message control word", before, Hand(check).MessageControl);
    }

    private static void TablePowerOn(CheckContext check)
    {
        for (int i = 0; i < check.InitialEntryControls.Count; i++)
        {
            check.Equal($"mask bit of entry {i}", 1, check.InitialEntryControls[i] & 1);
        }
    }

    private static void TableReadBack(CheckContext check)
    {
        MsixFixture hand = Hand(check);
        foreach (uint value in (uint[])[0xfee0_1234 & ~3u, 0x5a5a_a5a4])
        {
            hand.Write(0, 0, value);
            hand.Write(0, 4, ~value);
            hand.Write(0, MsixFixture.Data, value ^ 0xffff);
            check.Equal("message address", value, hand.Read(0, 0));
            check.Equal("message upper address", ~value, hand.Read(0, 4));
            check.Equal("message data", value ^ 0xffff, hand.Read(0, MsixFixture.Data));
        }

        foreach (bool masked in (bool[])[true, false, true])
        {
            hand.SetMask(0, masked);
            check.Equal("mask bit", masked ? 1u : 0, hand.Read(0, MsixFixture.Control) & 1);
        }
    }

    private static void TableEntries(CheckContext check)
    {
        MsixFixture hand = Hand(check);
        int entries = check.Facts.MsixVectors;
        for (int i = 0; i < entries; i++)
        {
            hand.Write(i, 0, 0xfee0_0000 + ((uint)i << 4));
            hand.Write(i, MsixFixture.Data, 0x4000 + (uint)i);
        }

        for (int i = 0; i < entries; i++)
        {
            check.Equal($"message address of entry {i}", 0xfee0_0000 + ((uint)i << 4), hand.Read(i, 0));
            check.Equal($"message data of entry {i}", 0x4000 + (uint)i, hand.Read(i, MsixFixture.Data));
        }
    }

    private static void TableWideRead(CheckContext check)
    {
        MsixFixture hand = Hand(check);
        hand.Write(0, 0, 0xfee0_0010);
        hand.Write(0, 4, 0x12);
        hand.Write(0, MsixFixture.Data, 0x77);
        ulong control = hand.Read(0, MsixFixture.Control);
        check.Equal("address as 8 bytes", 0x12_fee0_0010, check.Access.ReadBar(check.Facts.MsixTable.Bar, hand.At(0), 8));
        check.Equal("data and control as 8 bytes", 0x77 | (control << 32), check.Access.ReadBar(check.Facts.MsixTable.Bar, hand.At(0) + 8, 8));
    }

    private static void TableWideWrite(CheckContext check)
    {
        MsixFixture hand = Hand(check);
        check.Access.WriteBar(check.Facts.MsixTable.Bar, hand.At(0), 8, 0x34_fee0_0020);
        check.Access.WriteBar(check.Facts.MsixTable.Bar, hand.At(0) + 8, 8, 0x0000_0001_0000_0055);
        check.Equal("message address", 0xfee0_0020, hand.Read(0, 0));
        check.Equal("message upper address", 0x34, hand.Read(0, 4));
        check.Equal("message data", 0x55, hand.Read(0, MsixFixture.Data));
        check.Equal("mask bit", 1, hand.Read(0, MsixFixture.Control) & 1);
    }

    private static void TableKeeps(CheckContext check)
    {
        MsixFixture hand = Hand(check);
        hand.Write(0, 0, 0xfee0_0030);
        hand.Write(0, MsixFixture.Data, 0x66);
        hand.MessageControl = MsixFixture.Enable | MsixFixture.FunctionMask;
        hand.MessageControl = 0;
        check.Equal("message address", 0xfee0_0030, hand.Read(0, 0));
        check.Equal("message data", 0x66, hand.Read(0, MsixFixture.Data));
    }

    private static void PendingClear(CheckContext check)
    {
        for (int i = 0; i < check.Facts.MsixVectors; i++)
        {
            check.Require(!Hand(check).IsPending(i), $"pending bit {i} clear", "set");
        }
    }

    private static void PendingWide(CheckContext check)
    {
        (int bar, uint offset) = check.Facts.MsixPending;
        ulong halves = check.Access.ReadBar(bar, offset, 4) | (check.Access.ReadBar(bar, offset + 4, 4) << 32);
        check.Equal("first quad-word of the pending bit array", halves, check.Access.ReadBar(bar, offset, 8));
    }

    private static MsixFixture Hand(CheckContext check) => new(check);

    private static (string What, int Bar, uint Offset, uint Length)[] Locations(CheckContext check)
    {
        int vectors = check.Facts.MsixVectors;
        return
        [
            ("table", check.Facts.MsixTable.Bar, check.Facts.MsixTable.Offset, (uint)(16 * vectors)),
            ("pending bit array", check.Facts.MsixPending.Bar, check.Facts.MsixPending.Offset, (uint)((vectors + 63) / 64 * 8)),
        ];
    }
}
