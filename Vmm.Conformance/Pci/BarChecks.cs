using System.Linq;
using System.Numerics;
using Vmm.Conformance.Driving;
using Vmm.Pci.ConfigSpace;
using static Vmm.Conformance.CheckContext;
using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Pci;

/// <summary>Base address registers and how their size is found (PCI 3.0, 6.2.5.1).</summary>
internal static class BarChecks
{
    public static CheckGroup Group { get; } = new("base address registers", "PCI 3.0")
    {
        { "PCI-BAR-TYPE", "6.2.5.1", "The type bits say I/O, 32-bit or 64-bit memory; reserved types and bits do not occur", Type },
        { "PCI-BAR-SIZING", "6.2.5.1", "All ones read back as a mask of a power of two with the type bits below", Sizing },
        { "PCI-BAR-SIZING-TYPE-BITS", "6.2.5.1", "Sizing gives the same mask whether or not the type bits are written as ones", SizingWithoutTypeBits },
        { "PCI-BAR-SIZING-BYTES", "6.2.5.1", "Sizing by single bytes gives the same mask", SizingByBytes },
        { "PCI-BAR-SIZING-WORDS", "6.2.5.1", "Sizing by 2-byte words gives the same mask", SizingByWords },
        { "PCI-BAR-SIZING-AGAIN", "6.2.5.1", "Sizing has no memory: a second time gives the same, and any value replaces it", SizingAgain },
        { "PCI-BAR-WIDE-ORDER", "6.2.5.1", "The halves of a 64-bit BAR can be sized in either order", WideOrder, Need.WideBar },
        { "PCI-BAR-WIDE-HALVES", "6.2.5.1", "A write of one half of a 64-bit BAR leaves the other half alone", WideHalves, Need.WideBar },
        { "PCI-BAR-WIDE-LAST", "6.2.5.1", "A 64-bit BAR has a register to go on in", WideLast, Need.WideBar },
        { "PCI-BAR-ADDRESS", "6.2.5.1", "An address that is a multiple of the size reads back, the type bits with it", Address },
        { "PCI-BAR-LOW-BITS", "6.2.5.1", "Address bits below the size read as zero", LowBits },
        { "PCI-BAR-INDEPENDENT", "6.2.5.1", "Sizing one BAR changes no other", Independent },
        { "PCI-BAR-ABSENT", "6.2.5.1", "Registers without a BAR read as zero, whatever is written", Absent },
        { "PCI-BAR-TYPE-READ-ONLY", "6.2.5.1", "The type bits are read-only", TypeReadOnly },
        { "PCI-BAR-PORT-SIZE", "6.2.5.1", "An I/O BAR takes at most 256 ports", PortSize, Need.PortBar },
    };

    /// <summary>All that a BAR's registers read after all ones, as one value; the registers keep them.</summary>
    internal static ulong SizeOf(CheckContext check, PciBarFacts bar, int pieces = 4)
    {
        check.WriteInPieces(bar.Register, pieces, uint.MaxValue);
        ulong mask = check.Access.ReadConfiguration(bar.Register, 4);
        if (bar.IsWide)
        {
            check.WriteInPieces(bar.Register + 4, pieces, uint.MaxValue);
            mask |= (ulong)check.Access.ReadConfiguration(bar.Register + 4, 4) << 32;
        }

        return mask;
    }

    private static void Type(CheckContext check)
    {
        foreach (PciBarFacts bar in check.Facts.Bars)
        {
            uint value = check.Access.ReadConfiguration(bar.Register, 4);
            check.Require(
                bar.IsPort ? (value & 2) == 0 : (value & 6) is 0 or 4, $"BAR {bar.Index} of a type that is not reserved",
                Hex(value & (bar.IsPort ? 3u : 15u)));
        }
    }

    private static void Sizing(CheckContext check)
    {
        DecodeNothing(check);
        foreach (PciBarFacts bar in check.Facts.Bars)
        {
            uint type = check.Access.ReadConfiguration(bar.Register, 4) & ~bar.AddressMask;
            ulong mask = SizeOf(check, bar);
            check.Equal($"type bits of BAR {bar.Index} while it is sized", type, mask & ~bar.AddressMask);
            ulong size = SizeFrom(bar, mask);
            check.Require(BitOperations.IsPow2(size) && size >= (bar.IsPort ? 4u : 16u), $"BAR {bar.Index} of a power of two", $"mask {Hex(mask)}");
            if (bar.Length != 0)
            {
                check.Equal($"size of BAR {bar.Index}", bar.Length, size);
            }
        }
    }

    private static void SizingWithoutTypeBits(CheckContext check)
    {
        DecodeNothing(check);
        foreach (PciBarFacts bar in check.Facts.Bars)
        {
            ulong mask = SizeOf(check, bar);
            check.Access.WriteConfiguration(bar.Register, 4, 0);
            check.Access.WriteConfiguration(bar.Register, 4, bar.AddressMask);
            check.Equal($"BAR {bar.Index} after {Hex(bar.AddressMask)} was written", (uint)mask, check.Access.ReadConfiguration(bar.Register, 4));
        }
    }

    private static void SizingByBytes(CheckContext check) => SizesAlike(check, 1);

    private static void SizingByWords(CheckContext check) => SizesAlike(check, 2);

    private static void SizingAgain(CheckContext check)
    {
        DecodeNothing(check);
        foreach (PciBarFacts bar in check.Facts.Bars)
        {
            ulong mask = SizeOf(check, bar);
            check.Equal($"BAR {bar.Index}, sized again at once", mask, SizeOf(check, bar));
            check.Access.WriteConfiguration(bar.Register, 4, 0);
            check.Equal($"BAR {bar.Index} after zero was written", (uint)mask & ~bar.AddressMask, check.Access.ReadConfiguration(bar.Register, 4));
            check.Equal($"BAR {bar.Index}, sized again", mask, SizeOf(check, bar));
        }
    }

    private static void WideOrder(CheckContext check)
    {
        DecodeNothing(check);
        foreach (PciBarFacts bar in check.Facts.Bars.Where(static bar => bar.IsWide))
        {
            ulong mask = SizeOf(check, bar);
            Clear(check, bar);
            check.Access.WriteConfiguration(bar.Register + 4, 4, uint.MaxValue);
            check.Access.WriteConfiguration(bar.Register, 4, uint.MaxValue);
            check.Equal($"BAR {bar.Index}, upper half sized first", mask, Value(check, bar));
        }
    }

    private static void WideHalves(CheckContext check)
    {
        DecodeNothing(check);
        foreach (PciBarFacts bar in check.Facts.Bars.Where(static bar => bar.IsWide))
        {
            ulong mask = SizeOf(check, bar);
            Clear(check, bar);
            check.Access.WriteConfiguration(bar.Register + 4, 4, uint.MaxValue);
            check.Equal($"lower half of BAR {bar.Index} while the upper is sized", (uint)mask & 15, check.Access.ReadConfiguration(bar.Register, 4));
            Clear(check, bar);
            check.Access.WriteConfiguration(bar.Register, 4, uint.MaxValue);
            check.Equal($"upper half of BAR {bar.Index} while the lower is sized", 0, check.Access.ReadConfiguration(bar.Register + 4, 4));
        }
    }

    private static void WideLast(CheckContext check)
    {
        foreach (PciBarFacts bar in check.Facts.Bars.Where(static bar => bar.IsWide))
        {
            check.Require(bar.Index < 5, "64-bit BARs below index 5", $"BAR {bar.Index}");
        }
    }

    private static void Address(CheckContext check)
    {
        DecodeNothing(check);
        foreach (PciBarFacts bar in check.Facts.Bars)
        {
            ulong mask = SizeOf(check, bar);
            ulong type = mask & ~bar.AddressMask;
            ulong address = 0x5a5a_5a5a_c0c0_0000 & mask & ~type;
            check.Access.WriteConfiguration(bar.Register, 4, (uint)address);
            if (bar.IsWide)
            {
                check.Access.WriteConfiguration(bar.Register + 4, 4, (uint)(address >> 32));
            }

            check.Equal($"BAR {bar.Index}", bar.IsWide ? address | type : (uint)(address | type), Value(check, bar));
        }
    }

    private static void LowBits(CheckContext check)
    {
        DecodeNothing(check);
        foreach (PciBarFacts bar in check.Facts.Bars)
        {
            uint mask = (uint)SizeOf(check, bar);
            check.Access.WriteConfiguration(bar.Register, 4, 0x7fff_ffff);
            check.Equal(
                $"BAR {bar.Index} after 0x7fffffff was written", (0x7fff_ffff & mask & bar.AddressMask) | (mask & ~bar.AddressMask),
                check.Access.ReadConfiguration(bar.Register, 4));
        }
    }

    private static void Independent(CheckContext check)
    {
        DecodeNothing(check);
        uint[] before = [.. Enumerable.Range(0, 6).Select(i => check.Access.ReadConfiguration(Reg.Bar0 + (4 * i), 4))];
        foreach (PciBarFacts bar in check.Facts.Bars)
        {
            SizeOf(check, bar);
            for (int i = 0; i < 6; i++)
            {
                if (i != bar.Index && !(bar.IsWide && i == bar.Index + 1))
                {
                    check.Equal($"register {i} while BAR {bar.Index} is sized", before[i], check.Access.ReadConfiguration(Reg.Bar0 + (4 * i), 4));
                }
            }

            check.Access.WriteConfiguration(bar.Register, 4, before[bar.Index]);
            if (bar.IsWide)
            {
                check.Access.WriteConfiguration(bar.Register + 4, 4, before[bar.Index + 1]);
            }
        }
    }

    private static void Absent(CheckContext check)
    {
        DecodeNothing(check);
        for (int i = 0; i < 6; i++)
        {
            if (check.Facts.Bars.Any(bar => bar.Index == i || (bar.IsWide && bar.Index + 1 == i)))
            {
                continue;
            }

            int register = Reg.Bar0 + (4 * i);
            check.Access.WriteConfiguration(register, 4, uint.MaxValue);
            check.Equal($"register {i}, which has no BAR", 0, check.Access.ReadConfiguration(register, 4));
        }
    }

    private static void TypeReadOnly(CheckContext check)
    {
        DecodeNothing(check);
        foreach (PciBarFacts bar in check.Facts.Bars)
        {
            uint before = check.Access.ReadConfiguration(bar.Register, 4);
            uint type = ~bar.AddressMask;
            foreach (uint value in (uint[])[before ^ type, before | type, before & ~type])
            {
                check.Access.WriteConfiguration(bar.Register, 4, value);
                check.Equal($"BAR {bar.Index} after {Hex(value)} was written", before, check.Access.ReadConfiguration(bar.Register, 4));
            }
        }
    }

    private static void PortSize(CheckContext check)
    {
        DecodeNothing(check);
        foreach (PciBarFacts bar in check.Facts.Bars.Where(static bar => bar.IsPort))
        {
            ulong size = SizeFrom(bar, SizeOf(check, bar));
            check.Require(size <= 256, $"BAR {bar.Index} of at most 256 ports", $"{size}");
        }
    }

    private static void SizesAlike(CheckContext check, int pieces)
    {
        DecodeNothing(check);
        foreach (PciBarFacts bar in check.Facts.Bars)
        {
            ulong mask = SizeOf(check, bar);
            Clear(check, bar);
            check.Equal($"BAR {bar.Index}, sized in writes of {pieces} bytes", mask, SizeOf(check, bar, pieces));
        }
    }

    private static ulong SizeFrom(PciBarFacts bar, ulong mask)
    {
        // The upper half of an I/O register may be hardwired to zero.
        ulong address = mask & (bar.IsWide ? ~15UL : bar.AddressMask);
        ulong all = bar.IsWide ? ulong.MaxValue : bar.IsPort && address >> 16 == 0 ? 0xffff : uint.MaxValue;
        return (~address & all) + 1;
    }

    private static ulong Value(CheckContext check, PciBarFacts bar) =>
        check.Access.ReadConfiguration(bar.Register, 4) | (bar.IsWide ? (ulong)check.Access.ReadConfiguration(bar.Register + 4, 4) << 32 : 0);

    private static void Clear(CheckContext check, PciBarFacts bar)
    {
        check.Access.WriteConfiguration(bar.Register, 4, 0);
        if (bar.IsWide)
        {
            check.Access.WriteConfiguration(bar.Register + 4, 4, 0);
        }
    }

    private static void DecodeNothing(CheckContext check)
    {
        uint command = check.Access.ReadConfiguration(Reg.Command, 2);
        check.Access.WriteConfiguration(Reg.Command, 2, command & ~(uint)(PciCommand.MemorySpace | PciCommand.IoSpace));
    }
}
