using System.Linq;
using Vmm.Pci.Access;
using Vmm.Pci.Bars;
using Vmm.Tests.Fakes;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>BARs of a passed-through function as the guest sees and reaches them.</summary>
public sealed class PassthroughBarTests
{
    [Fact]
    [Trait("Behaviour", "VFIO-2")]
    public void Kinds_come_from_the_type_bits_and_sizes_from_the_regions_and_nothing_is_probed()
    {
        FakePciDevice device = new FakePciDevice()
            .AddBar(0, 0xfebc_0000, 0x1000)
            .AddBar(1, 0xc, 0x2_0000_0000)
            .AddBar(3, 0x0000_c001, 0x20)
            .AddBar(4, 0x8, 0x4000)
            .AddBar(6, 0, 0x1_0000);
        using var rig = new VfioRig(device);
        rig.Function.Bars.Select(bar => (bar.Index, bar.Kind, bar.Size, bar.Prefetchable)).Should().Equal(
            (0, PciBarKind.Memory32, 0x1000ul, false),
            (1, PciBarKind.Memory64, 0x2_0000_0000ul, true),
            (3, PciBarKind.Io, 0x20ul, false),
            (4, PciBarKind.Memory32, 0x4000ul, true),
            (6, PciBarKind.Rom, 0x1_0000ul, false));
        Size(rig, 0x10).Should().Be(0xffff_f000);
        Size(rig, 0x14).Should().Be(0x0000_000c, "the lower half of 8 GiB has no address bits");
        Size(rig, 0x18).Should().Be(0xffff_fffe);
        Size(rig, 0x1c).Should().Be(0xffff_ffe1);
        Size(rig, 0x20).Should().Be(0xffff_c008);
        Size(rig, 0x24).Should().Be(0);
        Size(rig, 0x30).Should().Be(0xffff_0001);
        device.Calls.Should().NotContain(
            call => call.StartsWith("write 7 1") || call.StartsWith("write 7 2") || call.StartsWith("write 7 3"),
            "the device's own BARs are never written");
        device.Get(0x10, 4).Should().Be(0xfebc_0000);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-2")]
    public void A_64_bit_bar_takes_two_registers_also_when_it_is_absent()
    {
        // The upper half of the absent one looks like an I/O BAR, and there is a region that would fit it.
        FakePciDevice device = new FakePciDevice().AddBar(0, 0x4, 0).AddBar(1, 0x1, 0x20).AddBar(2, 0, 0x100);
        using var rig = new VfioRig(device);
        rig.Function.Bars.Select(bar => bar.Index).Should().Equal(2);
        Size(rig, 0x14).Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-7")]
    public void A_bar_that_no_function_can_have_is_left_out_and_the_others_are_not()
    {
        FakePciDevice device = new FakePciDevice()
            .AddBar(0, 0, 0x3000)
            .AddBar(1, 1, 0x1000)
            .AddBar(2, 0, 8)
            .AddBar(3, 6, 0x1000)
            .AddBar(5, 4, 0x1000)
            .AddBar(6, 0, 0x400);
        using var rig = new VfioRig(device);
        rig.Function.Bars.Select(bar => (bar.Index, bar.Kind)).Should().Equal((3, PciBarKind.Memory32));
        rig.Function.Layout.Remarks.Should().HaveCount(5).And.OnlyContain(remark => remark.StartsWith("left out BAR "));
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    [Trait("Behaviour", "VFIO-4")]
    public void Mapped_pages_are_slots_of_the_guest_and_the_rest_reaches_the_device_with_its_width()
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        device.Calls.Should().Contain("map 0 0+4000 rw", "the area is mapped exactly as reported");
        rig.Rig.Slots.Mapped.Select(slot => (slot.Key, slot.Value.Length)).Should().Equal((VfioRig.Bar0, 0x2000ul));
        device.Bytes(PciRegionIndex.Bar0)[0x2ff8] = 0x5a;
        rig.Rig.Memory.Read(VfioRig.Bar0 + 0x2ff8, 1).Should().Be(0x5a);
        rig.Rig.Memory.Read(VfioRig.Bar0 + 0x2ff8, 8).Should().Be(0x5a);
        rig.Rig.Memory.Write(VfioRig.Bar0 + 0x3ffe, 2, 0xbeef);
        device.Reads.Should().Equal((PciRegionIndex.Bar0, 0x2ff8, 1), (PciRegionIndex.Bar0, 0x2ff8, 8));
        device.Calls.Should().Contain("write 0 3ffe 2 beef");
        int before = device.Calls.Count;
        rig.Rig.Memory.Write(VfioRig.Bar0 + 0x2000, 4, 0xfee0_0000);
        rig.Rig.Memory.Read(VfioRig.Bar0 + 0x2000, 4).Should().Be(0xfee0_0000);
        rig.Rig.Memory.Read(VfioRig.Bar0 + 0x3000, 8).Should().Be(0);
        device.Reads.Should().HaveCount(2, "table and pending bits are emulated");
        device.Calls.Should().HaveCount(before);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-4")]
    public void An_access_over_the_end_of_the_table_is_split()
    {
        FakePciDevice device = VfioRig.Card(vectors: 1);
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Rig.Memory.Read(VfioRig.Bar0 + 0x200c, 8);
        device.Reads.Should().Equal((PciRegionIndex.Bar0, 0x2010, 4));
    }

    [Fact]
    [Trait("Behaviour", "VFIO-5")]
    public void A_bar_that_cannot_be_mapped_traps_with_everything_undone_and_the_others_are_mapped()
    {
        FakePciDevice device = new FakePciDevice()
            .AddBar(0, 0, 0x4000, [new RegionArea(0, 0x1000), new RegionArea(0x2000, 0x1000)])
            .AddBar(1, 0, 0x4000, [new RegionArea(0, 0x4000)]);
        device.Fail = call => call.StartsWith("map 0 2000");
        using var rig = new VfioRig(device);
        device.LiveMappings.Should().Be(1);
        rig.Function.BarPlans.Select(plan => plan.MappedLength).Should().Equal(0ul, 0x4000ul);
        rig.Enable();
        rig.Rig.Memory.Read(VfioRig.Bar0 + 0x10, 4);
        device.Reads.Should().Equal((PciRegionIndex.Bar0, 0x10, 4));
    }

    [Fact]
    [Trait("Behaviour", "VFIO-5")]
    public void Where_the_hypervisor_has_no_slot_left_accesses_reach_the_device_by_its_handler()
    {
        FakePciDevice device = VfioRig.Card();
        using var rig = new VfioRig(device);
        rig.Rig.Slots.Refuses = address => address == VfioRig.Bar0;
        rig.Enable();
        rig.Function.FailedMappings.Should().Be(0);
        rig.Rig.Memory.RefusedSlots.Should().Be(1);
        rig.Function.GetMappedAddress(0).Should().Be(VfioRig.Bar0);
        rig.Rig.Memory.Read(VfioRig.Bar0 + 0x10, 4);
        device.Reads.Should().Equal((PciRegionIndex.Bar0, 0x10, 4));
        rig.Rig.Slots.Refuses = _ => false;
        rig.Write(4, 2, 0);
        rig.Write(4, 2, 2);
        rig.Rig.Slots.Mapped.Should().ContainKey(VfioRig.Bar0);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    public void Without_mapping_every_access_reaches_the_device()
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device, new PassthroughFunctionOptions { MapBars = false }).Enable();
        rig.Rig.Slots.Mapped.Should().BeEmpty();
        rig.Rig.Memory.Read(VfioRig.Bar0, 4);
        device.Reads.Should().Equal((PciRegionIndex.Bar0, 0, 4));
    }

    [Fact]
    [Trait("Behaviour", "VFIO-2")]
    public void Ports_and_the_rom_are_reached_by_exits()
    {
        FakePciDevice device = new FakePciDevice().AddBar(0, 1, 0x20).AddBar(6, 0, 0x800);
        using var rig = new VfioRig(device);
        rig.Write(0x10, 4, 0xc000);
        rig.Write(0x30, 4, 0xd000_0001);
        rig.Write(4, 2, 3);
        rig.Rig.Ports.Write(0xc004, 2, 0x1234);
        rig.Rig.Ports.Read(0xc004, 2).Should().Be(0x1234);
        device.Bytes(PciRegionIndex.Rom)[0] = 0x55;
        rig.Rig.Memory.Read(0xd000_0000, 1).Should().Be(0x55);
        rig.Rig.Memory.Write(0xd000_0000, 1, 0);
        device.Calls.Should().Contain("write 0 4 2 1234").And.NotContain(call => call.StartsWith("write 6"));
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    public void Ranges_that_the_embedder_traps_are_not_mapped()
    {
        var options = new PassthroughFunctionOptions
        {
            TrappedRanges = new System.Collections.Generic.Dictionary<int, System.Collections.Generic.IReadOnlyList<RegionArea>>
            {
                [0] = [new RegionArea(0x10, 4)],
            },
        };
        using VfioRig rig = new VfioRig(VfioRig.Card(), options).Enable();
        rig.Rig.Slots.Mapped.Select(slot => (slot.Key, slot.Value.Length)).Should().Equal((VfioRig.Bar0 + 0x1000, 0x1000ul));
        FluentActions.Invoking(() => PassthroughFunction.Attach(new FakePciDevice(), options))
            .Should().Throw<System.ArgumentException>().WithMessage("*no BAR 0*");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-13")]
    public void A_read_that_fails_is_all_ones_a_write_that_fails_is_dropped_and_both_are_counted()
    {
        FakePciDevice device = new FakePciDevice().AddBar(0, 0, 0x1000);
        using VfioRig rig = new VfioRig(device).Enable();
        device.Fail = call => call.StartsWith("read ") || call.StartsWith("write ");
        rig.Rig.Memory.Read(VfioRig.Bar0, 2).Should().Be(0xffff);
        rig.Rig.Memory.Read(VfioRig.Bar0, 8).Should().Be(ulong.MaxValue);
        rig.Read(0xc, 1).Should().Be(0xff);
        rig.Read(0, 4).Should().Be(0x5678_8086, "what is emulated does not come from the device");
        rig.Rig.Memory.Write(VfioRig.Bar0, 4, 1);
        rig.Function.FailedReads.Should().Be(3);
        rig.Function.FailedWrites.Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-11")]
    public void Other_devices_reach_the_mapped_parts_where_the_guest_has_put_them_and_never_a_trapped_hole()
    {
        FakePciDevice device = VfioRig.Card();
        VfioRig rig = new VfioRig(device, new PassthroughFunctionOptions { PeerToPeer = true }).Enable();
        device.Mapper.Mapped.Should().Equal(new System.Collections.Generic.Dictionary<ulong, ulong> { [VfioRig.Bar0] = 0x2000 });
        rig.Write(0x10, 4, 0xc100_0000);
        device.Mapper.Mapped.Keys.Should().Equal(0xc100_0000);
        rig.Write(4, 2, 0);
        device.Mapper.Mapped.Should().BeEmpty();
        device.Mapper.Refuse = _ => true;
        rig.Write(4, 2, 2);
        rig.Write(4, 2, 2);
        rig.Function.GetMappedAddress(0).Should().Be(0xc100_0000, "the guest has its BAR all the same");
        (rig.Function.PeerMappingCount, rig.Function.RefusedPeerMappings).Should().Be((0, 1));
        device.Mapper.Refuse = null;
        rig.Write(0x10, 4, 0xc200_0000);
        rig.Function.PeerMappingCount.Should().Be(1);
        rig.Dispose();
        device.Mapper.Mapped.Should().BeEmpty();
    }

    private static uint Size(VfioRig rig, int register)
    {
        rig.Write(register, 4, uint.MaxValue);
        return rig.Read(register, 4);
    }
}
