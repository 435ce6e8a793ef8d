using System;
using Vmm.Pci.ConfigSpace;

namespace Vmm.Tests.Pci;

/// <summary>Configuration space as data.</summary>
public sealed class ConfigurationSpaceTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(20261121)]
    [InlineData(777)]
    [Trait("Behaviour", "PCI-1")]
    public void Accesses_of_every_width_agree_with_a_byte_wise_model(int seed)
    {
        var random = new Random(seed);
        byte[] image = new byte[256];
        byte[] writable = new byte[256];
        byte[] clear = new byte[256];
        random.NextBytes(image);
        random.NextBytes(writable);
        random.NextBytes(clear);
        for (int i = 0; i < 256; i++)
        {
            clear[i] &= (byte)~writable[i];
        }

        var space = new PciConfigurationSpace(256);
        space.Define(0, image, writable, clear);
        for (int i = 0; i < 50_000; i++)
        {
            int width = 1 << random.Next(3);
            int offset = random.Next(256 / width) * width;
            if (random.Next(2) == 0)
            {
                uint value = (uint)random.NextInt64(1L << 32);
                ConfigurationWrite write = space.Write(offset, width, value);
                write.Offset.Should().Be(offset & ~3);
                for (int b = 0; b < width; b++)
                {
                    byte written = (byte)(value >> (8 * b));
                    ref byte at = ref image[offset + b];
                    at = (byte)(((at & ~writable[offset + b]) | (written & writable[offset + b])) & ~(written & clear[offset + b]));
                }

                write.New.Should().Be(BitConverter.ToUInt32(image, offset & ~3));
                (write.Changed & ~write.Lanes.Bits).Should().Be(0);
            }
            else
            {
                uint expected = 0;
                for (int b = 0; b < width; b++)
                {
                    expected |= (uint)image[offset + b] << (8 * b);
                }

                space.Read(offset, width).Should().Be(expected);
            }
        }

        byte[] dump = new byte[256];
        space.CopyTo(dump);
        dump.Should().Equal(image);
    }

    [Fact]
    [Trait("Behaviour", "PCI-1")]
    public void A_write_of_one_byte_does_not_clear_status_bits_of_its_neighbour()
    {
        var space = new PciConfigurationSpace(256);
        space.Define(4, 2, 0, 0xffff);
        space.Define(6, 2, 0xf900, 0, 0xf900);

        space.Write(4, 2, 0xffff);
        space.Read(6, 2).Should().Be(0xf900);
        space.Write(6, 1, 0xff);
        space.Read(6, 2).Should().Be(0xf900, "the low byte has no such bits");
        space.Write(7, 1, 0x80);
        space.Read(6, 2).Should().Be(0x7900);
        space.Write(4, 4, 0x0800_1234);
        space.Read(4, 4).Should().Be(0x7100_1234);
    }

    [Fact]
    [Trait("Behaviour", "PCI-1")]
    public void What_was_written_travels_with_its_byte_lanes()
    {
        var space = new PciConfigurationSpace(256);
        space.Define(0x40, 4, 0x11223344, 0x00ffff00);

        ConfigurationWrite write = space.Write(0x42, 1, 0xab);

        write.Should().Be(new ConfigurationWrite(0x40, new ByteLanes(4), 0x00ab0000, 0x11223344, 0x11ab3344));
        ByteLanes.Of(0x42, 2).Should().Be(new ByteLanes(0xc));
        ByteLanes.All.Bits.Should().Be(uint.MaxValue);
        new ByteLanes(0xa).Bits.Should().Be(0xff00ff00);
        ByteLanes.Of(0x41, 1).First.Should().Be(1);
        ByteLanes.Of(0x42, 2).Count.Should().Be(2);
        new ByteLanes(0).First.Should().Be(4);
        ByteLanes.Of(0, 2).Overlaps(ByteLanes.Of(1, 1)).Should().BeTrue();
        ByteLanes.Of(0, 2).Overlaps(ByteLanes.Of(2, 2)).Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "PCI-1")]
    public void Writers_of_different_bytes_of_a_register_never_undo_each_other()
    {
        var space = new PciConfigurationSpace(256);
        space.Define(0x40, 4, 0, uint.MaxValue);
        const int Rounds = 100_000;
        int lost = 0;
        System.Threading.Tasks.Parallel.For(0, 2, half =>
        {
            int offset = 0x40 + (2 * half);
            for (uint i = 0; i < Rounds; i++)
            {
                space.Write(offset, 2, i & 0xffff);
                if (space.Read(offset, 2) != (i & 0xffff))
                {
                    System.Threading.Interlocked.Increment(ref lost);
                }
            }
        });

        lost.Should().Be(0);
    }

    [Fact]
    public void Misuse_is_refused_with_the_reason()
    {
        FluentActions.Invoking(() => new PciConfigurationSpace(512)).Should().Throw<ArgumentException>().WithMessage("*256 or 4096*");
        var space = new PciConfigurationSpace(256);
        FluentActions.Invoking(() => space.Define(254, 4, 0)).Should().Throw<ArgumentException>().WithMessage("*4 bytes at 0xfe*");
        FluentActions.Invoking(() => space.Define(-1, [1])).Should().Throw<ArgumentException>().WithMessage("*do not lie inside*");
        FluentActions.Invoking(() => space.Define(257, [])).Should().Throw<ArgumentException>().WithMessage("*do not lie inside*");
        FluentActions.Invoking(() => space.Define(0, [1, 2], [3])).Should().Throw<ArgumentException>().WithMessage("*a mask must be as long*");
        FluentActions.Invoking(() => space.Define(0, [1, 2], [3, 4], [0, 0, 0]))
            .Should().Throw<ArgumentException>().WithMessage("*a mask must be as long*");
        FluentActions.Invoking(() => space.Define(0, 1, 0, 1, 1))
            .Should().Throw<ArgumentException>().WithMessage("*either writable or write-1-to-clear*");
    }

    [Fact]
    public void Nothing_can_be_defined_at_the_very_end_and_the_last_byte_can()
    {
        var space = new PciConfigurationSpace(256);
        space.Define(256, []);
        space.Define(255, [0x5a]);

        space.Read(255, 1).Should().Be(0x5a);
        space.Read(252, 4).Should().Be(0x5a00_0000);
    }

    [Fact]
    public void A_byte_defined_anew_keeps_nothing_and_its_neighbours_keep_everything()
    {
        var space = new PciConfigurationSpace(256);
        space.Define(0x40, 4, 0xffff_ffff, 0x0f0f_0f0f, 0xf0f0_f0f0);
        space.Define(0x42, 1, 0x12, 0x3c, 0x00);

        space.Read(0x40, 4).Should().Be(0xff12_ffff);
        space.WritableBits(0x40).Should().Be(0x0f3c_0f0f);
        space.WriteOneToClearBits(0x40).Should().Be(0xf000_f0f0);
    }

    [Fact]
    public void Redefined_facts_touch_their_bits_only()
    {
        var space = new PciConfigurationSpace(256);
        space.Define(0x40, 4, 0x0000_00ff);
        space.Redefine(0x40, 0x0000_0ff0, 0x0000_0a00);

        space.ReadRegister(0x40).Should().Be(0x0000_0a0f);
        space.Reset();
        space.ReadRegister(0x40).Should().Be(0x0000_0a0f);
    }

    [Fact]
    public void Reset_brings_the_power_on_values_back_and_keeps_redefined_facts()
    {
        var space = new PciConfigurationSpace(256);
        space.Define(0x40, 4, 5, uint.MaxValue);
        space.Write(0x40, 4, 0x1234);
        space.Redefine(0x0c, 0x800000, 0x800000);

        space.Reset();

        space.Read(0x40, 4).Should().Be(5);
        space.Read(0x0e, 1).Should().Be(0x80);
    }
}
