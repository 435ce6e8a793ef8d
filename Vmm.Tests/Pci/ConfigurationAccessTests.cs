using System;
using Vmm.Pci;
using Vmm.Pci.Host;

namespace Vmm.Tests.Pci;

/// <summary>Configuration ports and configuration memory.</summary>
public sealed class ConfigurationAccessTests
{
    private readonly PciRig _rig = new();

    [Fact]
    [Trait("Behaviour", "PCI-2")]
    public void Ports_and_memory_reach_the_same_registers_with_every_width()
    {
        PciFunction function = _rig.Add(PciRig.Function());
        function.ConfigurationSpace.Redefine(0x3c, 0xff, 0x42);
        for (int width = 1; width <= 4; width *= 2)
        {
            for (int offset = 0; offset < 256; offset += width)
            {
                uint expected = function.ConfigurationSpace.Read(offset, width);
                _rig.Read(offset, width).Should().Be(expected);
                _rig.PortRead(offset, width).Should().Be(expected);
            }
        }

        _rig.Read(0, 4).Should().Be(0x1042_1af4);
        _rig.Read(8, 4).Should().Be(0x018000_01);
        _rig.Read(0x2c, 4).Should().Be(0x0040_1af4);
        _rig.PortWrite(0x3c, 1, 0x0b);
        _rig.Read(0x3c, 1).Should().Be(0x0b);
        _rig.Write(0x0c, 1, 0x10);
        _rig.PortRead(0x0c, 2).Should().Be(0x10);
        _rig.Memory.Read(PciRig.EcamAddress(0x08, 3, 0), 8).Should().Be(0x00000010_01800001ul, "eight bytes are two registers");
        _rig.Memory.Write(PciRig.EcamAddress(0x38, 3, 0), 8, 0x00000055_00000000);
        _rig.Read(0x3c, 1).Should().Be(0x55);
    }

    [Theory]
    [InlineData(0xcf8, 1)]
    [InlineData(0xcf8, 2)]
    [InlineData(0xcf9, 1)]
    [InlineData(0xcfa, 2)]
    [InlineData(0xcfb, 1)]
    [Trait("Behaviour", "PCI-2")]
    public void The_address_port_latches_only_aligned_dwords(ushort port, int width)
    {
        _rig.Ports.Write(0xcf8, 4, 0x8000_1804);
        _rig.Ports.Write(port, width, 0xffffffff);

        _rig.Ports.Read(0xcf8, 4).Should().Be(0x8000_1804);
        _rig.Ports.Read(port, width).Should().Be(ulong.MaxValue >> (64 - (8 * width)));
    }

    [Fact]
    [Trait("Behaviour", "PCI-2")]
    public void The_address_port_keeps_its_defined_bits_only()
    {
        _rig.Ports.Write(0xcf8, 4, 0xffff_ffff);
        _rig.Ports.Read(0xcf8, 4).Should().Be(0x80ff_fffc);
        _rig.Bridge.Reset();
        _rig.Ports.Read(0xcf8, 4).Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "PCI-2")]
    public void Without_the_enable_bit_the_data_ports_are_no_configuration_access()
    {
        PciFunction function = _rig.Add(PciRig.Function());
        _rig.Ports.Write(0xcf8, 4, 0x0000_1804);

        _rig.Ports.Read(0xcfc, 4).Should().Be(0xffff_ffff);
        _rig.Ports.Write(0xcfc, 2, 7);

        function.Command.Should().Be(Vmm.Pci.ConfigSpace.PciCommand.None);
    }

    [Fact]
    [Trait("Behaviour", "PCI-2")]
    public void Data_ports_take_bytes_and_words_at_their_place()
    {
        PciFunction function = _rig.Add(PciRig.Function());
        _rig.Ports.Write(0xcf8, 4, 0x8000_1800);
        _rig.Ports.Read(0xcfe, 2).Should().Be(0x1042);
        _rig.Ports.Read(0xcff, 1).Should().Be(0x10);
        _rig.Ports.Write(0xcf8, 4, 0x8000_1804);
        _rig.Ports.Write(0xcfd, 1, 4);
        function.Command.Should().Be(Vmm.Pci.ConfigSpace.PciCommand.InterruptDisable);
    }

    [Fact]
    [Trait("Behaviour", "PCI-2")]
    public void Configuration_memory_gives_all_4_KiB_of_an_extended_function()
    {
        _rig.Add(new PciFunction(PciRig.Identity, new PciFunctionOptions { ExtendedConfigurationSpace = true }));
        for (int offset = 0x100; offset < 0x1000; offset += 4)
        {
            _rig.Read(offset, 4).Should().Be(0, "unused bytes read zero (0x{0:x})", offset);
        }

        _rig.Add(PciRig.Function(), device: 4);
        _rig.Read(0x100, 4, device: 4).Should().Be(0xffff_ffff, "a conventional function has no extended space");
        _rig.Write(0x100, 4, 0, device: 4);
        _rig.Read(0xfc, 4, device: 4).Should().Be(0);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Behaviour", "PCI-2")]
    [Trait("Behaviour", "PCI-3")]
    public void Another_function_number_is_another_function(bool ports)
    {
        _rig.Add(PciRig.Function());
        for (int number = 1; number < 8; number++)
        {
            uint id = ports ? _rig.PortRead(0, 4, 3, number) : _rig.Read(0, 4, 3, number);
            id.Should().Be(0xffff_ffff);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    [Trait("Behaviour", "PCI-3")]
    public void An_absent_function_reads_all_ones_and_drops_writes(int width)
    {
        ulong ones = ulong.MaxValue >> (64 - (8 * width));
        _rig.Memory.Read(PciRig.EcamAddress(0, 9, 0), width).Should().Be(ones);
        _rig.Memory.Read(PciRig.Ecam + (5ul << 20), width).Should().Be(ones, "there is no bus 5");
        _rig.Memory.Write(PciRig.EcamAddress(4, 9, 0), width, 0);
        if (width <= 4)
        {
            _rig.PortRead(0, width, 9).Should().Be((uint)ones);
            _rig.PortWrite(4, width, 0, 9);
        }

        _rig.Memory.UnclaimedCounters.Reads.Should().Be(0, "the bridge answers for what is absent");
    }

    [Fact]
    [Trait("Behaviour", "PCI-3")]
    public void The_multi_function_bit_is_set_exactly_while_a_device_has_several_functions()
    {
        _rig.Add(PciRig.Function());
        _rig.Read(0x0e, 1).Should().Be(0);

        PciFunction second = _rig.Add(PciRig.Function(), number: 5);
        _rig.Read(0x0e, 1).Should().Be(0x80);
        _rig.Read(0x0e, 1, function: 5).Should().Be(0x80);
        _rig.Read(0, 4, function: 5).Should().Be(0x1042_1af4);
        _rig.Write(0x0e, 1, 0);
        _rig.Bridge.Reset();
        _rig.Read(0x0e, 1).Should().Be(0x80, "it is no state of the guest's");

        _rig.Bridge.Root.Remove(second);
        _rig.Read(0x0e, 1).Should().Be(0);
        _rig.Read(0, 4, function: 5).Should().Be(0xffff_ffff);
    }

    [Fact]
    public void A_bus_refuses_places_that_are_taken_or_have_no_function_0()
    {
        PciFunction function = _rig.Add(PciRig.Function());
        FluentActions.Invoking(() => _rig.Add(PciRig.Function())).Should().Throw<ArgumentException>().WithMessage("*00:03.0 is taken*");
        FluentActions.Invoking(() => _rig.Add(PciRig.Function(), 4, 1)).Should().Throw<ArgumentException>().WithMessage("*function 0*");
        FluentActions.Invoking(() => _rig.Add(function, 5)).Should().Throw<ArgumentException>().WithMessage("*on a bus already*");
        _rig.Add(PciRig.Function(), number: 1);
        FluentActions.Invoking(() => _rig.Bridge.Root.Remove(function)).Should().Throw<ArgumentException>().WithMessage("*after its others*");
        FluentActions.Invoking(function.Dispose).Should().Throw<InvalidOperationException>().WithMessage("*after its others*");
        FluentActions.Invoking(() => function.AddBar(PciRig.Bar(0, Vmm.Pci.Bars.PciBarKind.Memory32, 16, new RecordingHandler(16))))
            .Should().Throw<InvalidOperationException>();
    }

    [Fact]
    [Trait("Behaviour", "PCI-1")]
    public void Random_writes_never_change_what_is_read_only()
    {
        PciFunction function = _rig.Add(PciRig.Function(PciRig.Bar(0, Vmm.Pci.Bars.PciBarKind.Memory64, 0x4000, new RecordingHandler(0x4000))));
        byte[] before = new byte[256];
        function.ConfigurationSpace.CopyTo(before);
        var random = new Random(42);
        for (int i = 0; i < 20_000; i++)
        {
            int width = 1 << random.Next(3);
            int offset = random.Next(256 / width) * width;
            _rig.Write(offset, width, (uint)random.NextInt64(1L << 32));
        }

        for (int offset = 0; offset < 256; offset += 4)
        {
            uint mask = ~(function.ConfigurationSpace.WritableBits(offset) | function.ConfigurationSpace.WriteOneToClearBits(offset));
            (function.ConfigurationSpace.ReadRegister(offset) & mask).Should().Be(BitConverter.ToUInt32(before, offset) & mask);
        }
    }

    [Fact]
    public void The_bridge_itself_is_at_00_00_0()
    {
        _rig.Read(0, 4, 0).Should().Be(0x0008_1b36);
        _rig.Read(8, 4, 0).Should().Be(0x060000_00);
        _rig.Bridge.Find(new PciAddress(0, 0, 0)).Should().BeSameAs(_rig.Bridge.Function);
        _rig.Bridge.Find(new PciAddress(1, 0, 0)).Should().BeNull();
        FluentActions.Invoking(_rig.Bridge.ClaimConfigurationAccess).Should().Throw<InvalidOperationException>();
        FluentActions.Invoking(() => new PciHostBridge(new PciHostBridgeOptions { Memory = _rig.Memory, EcamBase = 0xb008_0000 }))
            .Should().Throw<ArgumentException>();
    }

    [Fact]
    public void An_address_prints_as_lspci_does()
    {
        new PciAddress(0, 31, 7).ToString().Should().Be("00:1f.7");
        new PciAddress(0x80, 3, 0).RequesterId.Should().Be(0x8018);
        new PciAddress(0x80, 3, 0).RequesterId.Should().Be(0x8018);
        (new PciAddress(0, 1, 0) < new PciAddress(0, 1, 1)).Should().BeTrue();
        FluentActions.Invoking(() => new PciAddress(0, 32, 0)).Should().Throw<ArgumentOutOfRangeException>();
    }
}
