using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Bars;

namespace Vmm.Tests.Pci;

/// <summary>Layouts that are refused when they are made, and the registers that good ones get.</summary>
public sealed class BarLayoutTests
{
    [Theory]
    [InlineData(0, PciBarKind.Memory32, 0x1000ul, 0x0000_0000u)]
    [InlineData(5, PciBarKind.Memory32, 16ul, 0x0000_0000u)]
    [InlineData(4, PciBarKind.Memory64, 0x4000ul, 0x0000_0004u)]
    [InlineData(1, PciBarKind.Io, 32ul, 0x0000_0001u)]
    [InlineData(6, PciBarKind.Rom, 0x800ul, 0x0000_0000u)]
    [Trait("Behaviour", "PCI-7")]
    public void Each_kind_has_its_type_bits(int index, PciBarKind kind, ulong size, uint typeBits)
    {
        var rig = new PciRig();
        var bar = new PciBar(index, kind, size, []);
        rig.Add(PciRig.Function(bar));

        rig.Read(bar.RegisterOffset, 4).Should().Be(typeBits);
    }

    [Fact]
    [Trait("Behaviour", "PCI-7")]
    public void Prefetchable_memory_says_so()
    {
        var rig = new PciRig();
        rig.Add(PciRig.Function(
            new PciBar(0, PciBarKind.Memory64, 1ul << 40, [], prefetchable: true),
            new PciBar(2, PciBarKind.Memory32, 1ul << 31, [], prefetchable: true)));

        rig.Read(0x10, 4).Should().Be(0xc);
        rig.Read(0x18, 4).Should().Be(0x8);
    }

    [Theory]
    [InlineData(0, PciBarKind.Memory32, 0x1800ul, "power of two")]
    [InlineData(0, PciBarKind.Memory32, 0ul, "power of two")]
    [InlineData(0, PciBarKind.Memory32, 8ul, "power of two")]
    [InlineData(0, PciBarKind.Memory32, 1ul << 32, "power of two")]
    [InlineData(0, PciBarKind.Memory64, 1ul << 63, "power of two")]
    [InlineData(0, PciBarKind.Io, 2ul, "power of two")]
    [InlineData(0, PciBarKind.Io, 512ul, "power of two")]
    [InlineData(6, PciBarKind.Rom, 1024ul, "power of two")]
    [InlineData(6, PciBarKind.Rom, 32ul << 20, "power of two")]
    [InlineData(1, PciBarKind.Memory64, 0x1000ul, "even register")]
    [InlineData(5, PciBarKind.Memory64, 0x1000ul, "no register after it")]
    [InlineData(6, PciBarKind.Memory32, 0x1000ul, "expansion ROM alone")]
    [InlineData(0, PciBarKind.Rom, 0x1000ul, "expansion ROM alone")]
    [InlineData(-1, PciBarKind.Memory32, 0x1000ul, "0 to 5")]
    [InlineData(7, PciBarKind.Memory32, 0x1000ul, "0 to 5")]
    [Trait("Behaviour", "PCI-7")]
    public void A_bad_register_is_refused_with_the_reason(int index, PciBarKind kind, ulong size, string reason)
    {
        FluentActions.Invoking(() => new PciBar(index, kind, size, [])).Should().Throw<ArgumentException>().WithMessage($"*{reason}*");
    }

    [Fact]
    [Trait("Behaviour", "PCI-7")]
    public void Bad_regions_are_refused_with_the_reason()
    {
        var handler = new RecordingHandler(0x100);
        Make(new PciBarRegion("a", 0, 0x800, handler), new PciBarRegion("b", 0x7ff, 1, handler))
            .Should().Throw<ArgumentException>().WithMessage("*a and b overlap at 0x7ff*");
        Make(new PciBarRegion("a", 0x800, 0x801, handler)).Should().Throw<ArgumentException>().WithMessage("*a ends at 0x1000*");
        Make(new PciBarRegion("b", 0xfff, 1, handler), new PciBarRegion("a", 0, 0xfff, handler)).Should().NotThrow();
        FluentActions.Invoking(() => new PciBarRegion("a", 0, 0, handler)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new PciBarRegion("a", ulong.MaxValue, 2, handler)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new PciBar(0, PciBarKind.Io, 16, [], prefetchable: true))
            .Should().Throw<ArgumentException>().WithMessage("*prefetchable*");

        using var memory = HostMemory.AllocateAnonymous(0x1000);
        FluentActions.Invoking(() => new PciBarRegion("m", 0, 0x1001, memory)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new PciBarRegion("m", 0, 0x10, memory, 0xff8)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new PciBar(0, PciBarKind.Io, 16, [new("m", 0, 16, memory)]))
            .Should().Throw<ArgumentException>().WithMessage("*I/O space*");
        FluentActions.Invoking(() => new PciBar(6, PciBarKind.Rom, 0x1000, [new("m", 0, 0x1000, memory)]))
            .Should().Throw<ArgumentException>().WithMessage("*read-only*");

        static Action Make(params PciBarRegion[] regions) => () => _ = new PciBar(0, PciBarKind.Memory32, 0x1000, new List<PciBarRegion>(regions));
    }

    [Fact]
    [Trait("Behaviour", "PCI-7")]
    public void Registers_are_given_once()
    {
        PciFunction function = PciRig.Function(new PciBar(2, PciBarKind.Memory64, 0x1000, []));
        FluentActions.Invoking(() => function.AddBar(new PciBar(3, PciBarKind.Memory32, 0x1000, [])))
            .Should().Throw<ArgumentException>().WithMessage("*register 3, which BAR 2 has*");
        FluentActions.Invoking(() => function.AddBar(new PciBar(2, PciBarKind.Io, 16, []))).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => function.GetBarAddress(3)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => function.SetBarAddress(2, 0x800)).Should().Throw<ArgumentException>().WithMessage("*multiple*");
    }

    [Fact]
    [Trait("Behaviour", "PCI-7")]
    public void A_region_is_found_by_a_range_that_lies_inside_it()
    {
        var handler = new RecordingHandler(0x100);
        var bar = new PciBar(0, PciBarKind.Memory32, 0x1000, [new("b", 0x200, 0x10, handler), new("a", 0x100, 0x100, handler)]);
        bar.FindRegion(0x1ff, 1)!.Name.Should().Be("a");
        bar.FindRegion(0x1ff, 2).Should().BeNull();
        bar.FindRegion(0x208, 8)!.Name.Should().Be("b");
        bar.FindRegion(0x208, ulong.MaxValue).Should().BeNull();
        bar.FindRegion(0, 4).Should().BeNull();
        bar.FindRegion(0x210, 4).Should().BeNull();
    }

    [Fact]
    public void Bars_are_reached_by_offset_without_decoding()
    {
        var handler = new RecordingHandler(0x100, 0x5a);
        using var memory = HostMemory.AllocateAnonymous(0x1000);
        PciFunction function = PciRig.Function(new PciBar(
            0, PciBarKind.Memory32, 0x2000, [new("a", 0x100, 0x100, handler), new("m", 0x1000, 0x1000, memory)]));

        function.ReadBar(0, 0x104, 4).Should().Be(0x5a5a5a5a);
        function.WriteBar(0, 0x108, 2, 0xff1234);
        handler.ToString().Should().Be("r4+4 w8+2=1234");
        function.ReadBar(0, 0, 4).Should().Be(0xffff_ffff);
        function.ReadBar(0, 0x101, 2).Should().Be(0xffff);
        function.ReadBar(1, 0x100, 4).Should().Be(0xffff_ffff);
        function.ReadBar(9, 0x100, 1).Should().Be(0xff);
        function.WriteBar(0, 0x1ff, 2, 0);
        function.WriteBar(0, 0x1008, 8, 0x1122334455667788);
        function.ReadBar(0, 0x100c, 4).Should().Be(0x11223344);
        handler.Accesses.Should().HaveCount(2);
    }
}
