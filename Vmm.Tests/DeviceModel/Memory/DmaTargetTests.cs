using System;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.DeviceModel.Memory;

/// <summary>Reads and writes of a device without queues: gated, translated, in pieces.</summary>
[Trait("Behaviour", "PCI-8")]
public sealed class DmaTargetTests : IDisposable
{
    private const ulong Page = 4096;

    private readonly GuestRam _ram = new((0, 16 * Page), (16 * Page, 16 * Page));
    private readonly DmaTarget _dma;

    public DmaTargetTests() => _dma = new DmaTarget(_ram.Memory);

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void Bytes_go_over_two_regions_and_come_back()
    {
        _dma.TryWrite((16 * Page) - 2, [1, 2, 3, 4]).Should().BeTrue();
        byte[] back = new byte[4];
        _dma.TryRead((16 * Page) - 2, back).Should().BeTrue();
        back.Should().Equal(1, 2, 3, 4);
        _dma.TryRead(0, []).Should().BeTrue("nothing is always there");
    }

    [Fact]
    public void While_the_device_may_not_master_the_bus_nothing_is_read_or_written()
    {
        _dma.Enabled = false;
        _dma.TryWrite(Page, [1]).Should().BeFalse();
        _dma.TryRead(Page, new byte[1]).Should().BeFalse();
        _dma.TryRead(Page, []).Should().BeFalse();
        _ram.Read<byte>(Page).Should().Be(0);
    }

    [Theory]
    [InlineData(32 * Page)]
    [InlineData((32 * Page) - 1)]
    [InlineData(ulong.MaxValue)]
    [InlineData(ulong.MaxValue - 1)]
    public void What_is_no_RAM_or_wraps_is_refused(ulong address)
    {
        _dma.TryWrite(address, [1, 2, 3]).Should().BeFalse();
        _dma.TryRead(address, new byte[3]).Should().BeFalse();
        _ram.Read<byte>(0).Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VTP-17")]
    public void Behind_a_translator_each_piece_is_where_it_is_mapped_and_may_be_only_read_there()
    {
        var pages = new PageTranslator();
        pages.Map(0x7000_0000, 3 * Page, read: true, write: true);
        pages.Map(0x7000_1000, Page, read: true, write: true);
        pages.Map(0x7000_2000, 5 * Page, read: true, write: false);
        _dma.Translator = pages;
        _dma.TryWrite(0x7000_0ffe, [1, 2, 3, 4]).Should().BeTrue();
        _ram.Read((3 * Page) + 4094, 2).Should().Equal(1, 2);
        _ram.Read(Page, 2).Should().Equal(3, 4);

        byte[] across = new byte[2];
        _dma.TryRead(0x7000_1fff, across).Should().BeTrue();
        _dma.TryWrite(0x7000_1fff, [9, 9]).Should().BeFalse("the second page is for reading alone");
        _dma.TryRead(0x7000_2fff, across).Should().BeFalse("nothing is mapped behind");
        _ram.Read<byte>(5 * Page).Should().Be(0);
    }
}
