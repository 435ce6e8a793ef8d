using System;
using Vmm.Pci;
using Vmm.Pci.Bars;

namespace Vmm.Tests.Pci;

/// <summary>Base address registers hold what is written, and sizing needs no memory of what was written before.</summary>
public sealed class BarSizingTests
{
    [Theory]
    [InlineData(PciBarKind.Memory32, 0x1000ul, 0u)]
    [InlineData(PciBarKind.Memory32, 16ul, 0u)]
    [InlineData(PciBarKind.Memory32, 0x8000_0000ul, 0u)]
    [InlineData(PciBarKind.Io, 4ul, 1u)]
    [InlineData(PciBarKind.Io, 256ul, 1u)]
    [InlineData(PciBarKind.Memory64, 0x4000ul, 4u)]
    [InlineData(PciBarKind.Memory64, 1ul << 40, 4u)]
    [Trait("Behaviour", "PCI-4")]
    public void A_register_reads_what_was_written_without_the_low_bits(PciBarKind kind, ulong size, uint typeBits)
    {
        var rig = new PciRig();
        rig.Add(PciRig.Function(new PciBar(0, kind, size, [])));
        uint low = (uint)~(size - 1);
        uint high = kind == PciBarKind.Memory64 ? (uint)(~(size - 1) >> 32) : 0;
        var random = new Random(7);
        uint[] values = [0xffff_ffff, 0xffff_fff0, 0xffff_f800, 0, 0xfebf_0000, 0x1234_5678, 0x8000_0000];
        foreach (uint value in values)
        {
            rig.Write(0x10, 4, value);
            rig.Read(0x10, 4).Should().Be((value & low) | typeBits);
            rig.Write(0x14, 4, value);
            rig.Read(0x14, 4).Should().Be(value & high);
            rig.Read(0x10, 4).Should().Be((value & low) | typeBits);
        }

        uint register = rig.Read(0x10, 4);
        for (int i = 0; i < 2000; i++)
        {
            int width = 1 << random.Next(3);
            int offset = random.Next(4 / width) * width;
            uint value = (uint)random.NextInt64(1L << 32);
            uint lanes = (uint.MaxValue >> (32 - (8 * width))) << (8 * offset);
            rig.Write(0x10 + offset, width, value);
            register = (((register & ~lanes) | ((value << (8 * offset)) & lanes)) & low) | typeBits;
            rig.Read(0x10, 4).Should().Be(register);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Behaviour", "PCI-4")]
    public void A_64_bit_register_is_sized_in_either_order(bool lowFirst)
    {
        var rig = new PciRig();
        PciFunction function = rig.Add(PciRig.Function(new PciBar(2, PciBarKind.Memory64, 0x2_0000_0000, [], prefetchable: true)));
        int first = lowFirst ? 0x18 : 0x1c;
        rig.Write(first, 4, 0xffff_ffff);
        rig.Write(first ^ 4, 4, 0xffff_ffff);
        rig.Read(0x18, 4).Should().Be(0x0000_000c);
        rig.Read(0x1c, 4).Should().Be(0xffff_fffe);

        rig.Write(first, 4, 0x12);
        rig.Write(first ^ 4, 4, 0x12);
        rig.Read(0x1c, 4).Should().Be(0x12);
        function.GetBarAddress(2).Should().Be(0x12_0000_0000);
    }

    [Fact]
    [Trait("Behaviour", "PCI-4")]
    [Trait("Behaviour", "PCI-1")]
    public void Any_pattern_of_byte_enables_writes_those_bytes_and_no_others()
    {
        const ulong Size = 0x2_0000_0000;
        const ulong Old = 0x1122_3344_5566_7788;
        const ulong New = 0xfedc_ba98_7654_3210;
        ulong mask = ~(Size - 1);
        var rig = new PciRig();
        rig.Add(PciRig.Function(new PciBar(0, PciBarKind.Memory64, Size, [], prefetchable: true)));
        for (int pattern = 0; pattern < 256; pattern++)
        {
            rig.Memory.Write(PciRig.EcamAddress(0x10, 3, 0), 8, Old);
            ulong lanes = 0;
            for (int i = 0; i < 8; i++)
            {
                if ((pattern & (1 << i)) != 0)
                {
                    lanes |= 0xfful << (8 * i);
                    rig.Write(0x10 + i, 1, (byte)(New >> (8 * i)));
                }
            }

            ulong expected = (((Old & ~lanes) | (New & lanes)) & mask) | 0xc;
            rig.Memory.Read(PciRig.EcamAddress(0x10, 3, 0), 8).Should().Be(expected, "pattern {0:x2}", pattern);
        }

        // Accesses that are not aligned to their size, over the border of the two registers too.
        foreach (int width in new[] { 2, 4, 8 })
        {
            for (int offset = 0; offset + width <= 8; offset++)
            {
                rig.Memory.Write(PciRig.EcamAddress(0x10, 3, 0), 8, Old);
                rig.Memory.Write(PciRig.EcamAddress(0x10 + offset, 3, 0), width, New);
                ulong lanes = (ulong.MaxValue >> (64 - (8 * width))) << (8 * offset);
                ulong expected = (((Old & ~lanes) | ((New << (8 * offset)) & lanes)) & mask) | 0xc;
                rig.Memory.Read(PciRig.EcamAddress(0x10, 3, 0), 8).Should().Be(expected, "{0} bytes at {1}", width, offset);
                rig.Memory.Read(PciRig.EcamAddress(0x10 + offset, 3, 0), width).Should().Be(
                    (expected >> (8 * offset)) & (ulong.MaxValue >> (64 - (8 * width))));
            }
        }

        rig.Memory.Write(PciRig.EcamAddress(0x10, 3, 0), 8, ulong.MaxValue);
        rig.Memory.Read(PciRig.EcamAddress(0x10, 3, 0), 8).Should().Be(mask | 0xc, "both halves are sized at once");
    }

    [Fact]
    [Trait("Behaviour", "PCI-4")]
    public void A_rom_register_has_an_enable_bit_and_2_KiB_granularity()
    {
        var rig = new PciRig();
        rig.Add(PciRig.Function(new PciBar(6, PciBarKind.Rom, 0x1_0000, [])));

        rig.Write(0x30, 4, 0xffff_f800);
        rig.Read(0x30, 4).Should().Be(0xffff_0000);
        rig.Write(0x30, 4, 0xffff_ffff);
        rig.Read(0x30, 4).Should().Be(0xffff_0001);
        rig.Write(0x30, 1, 0);
        rig.Read(0x30, 4).Should().Be(0xffff_0000);
        rig.Write(0x32, 2, 0xfe00);
        rig.Read(0x30, 4).Should().Be(0xfe00_0000);
    }

    [Fact]
    [Trait("Behaviour", "PCI-7")]
    public void The_upper_half_of_an_io_register_is_writable()
    {
        var rig = new PciRig();
        rig.Add(PciRig.Function(new PciBar(1, PciBarKind.Io, 64, [])));
        rig.Write(0x16, 2, 0xabcd);
        rig.Read(0x14, 4).Should().Be(0xabcd_0001);
    }

    [Fact]
    [Trait("Behaviour", "PCI-4")]
    public void Registers_without_a_bar_read_zero()
    {
        var rig = new PciRig();
        rig.Add(PciRig.Function(new PciBar(0, PciBarKind.Memory32, 0x1000, [])));
        for (int offset = 0x14; offset <= 0x30; offset += 4)
        {
            if (offset is 0x28 or 0x2c)
            {
                continue;
            }

            rig.Write(offset, 4, 0xffff_ffff);
            rig.Read(offset, 4).Should().Be(0);
        }
    }
}
