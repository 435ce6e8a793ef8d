using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>Requests of a virtual IOMMU (VFIO-11).</summary>
[Trait("Behaviour", "VFIO-11")]
public sealed class GuestIovaMapTests
{
    private readonly FakeDmaMapper _mapper = new();
    private readonly GuestMemory _memory = new();
    private readonly GuestMemoryRegion _low;
    private readonly GuestIovaMap _map;

    public GuestIovaMapTests()
    {
        // Two regions that touch in guest space, behind two host mappings, and a hole after them.
        _low = _memory.Add(0, HostMemory.AllocateAnonymous(0x1_0000), 0, 0x1_0000);
        _memory.Add(0x1_0000, HostMemory.AllocateAnonymous(0x1_0000), 0, 0x1_0000);
        _map = new GuestIovaMap(_mapper, _memory, limit: 3);
    }

    [Fact]
    public void A_range_inside_one_region_is_mapped_and_unmapped_as_it_was()
    {
        _map.TryMap(0x10_0000, Range(0x3000, 0x2000), writable: false).Should().BeTrue();
        _map.TryMap(0x20_0000, Range(0x1_f000, 0x1000), writable: true).Should().BeTrue();
        _map.TryUnmap(0x10_0000, 0x1000).Should().BeFalse("that is a part of it");
        _map.TryUnmap(0x10_0000, 0x2000).Should().BeTrue();
        _map.TryUnmap(0x10_0000, 0x2000).Should().BeFalse();
        _mapper.Calls.Should().Equal("map 100000+2000 r", "map 200000+1000 rw", "unmap 100000+2000");
        _map.Refused.Should().Be(2);
    }

    [Theory]
    [InlineData(0xf000, 0x2000)]
    [InlineData(0x1_f000, 0x2000)]
    [InlineData(0x8_0000, 0x1000)]
    [InlineData(0x1000, 0)]
    [InlineData(0x1080, 0x1000)]
    [InlineData(0xffff_ffff_ffff_f000, 0x1000)]
    public void Across_two_host_mappings_over_a_hole_or_half_a_page_nothing_is_mapped(ulong address, ulong length)
    {
        _map.TryMap(0x10_0000, Range(address, length), writable: true).Should().BeFalse();
        _mapper.Mapped.Should().BeEmpty();
        (_map.Count, _map.Refused).Should().Be((0, 1));
    }

    [Fact]
    public void A_guest_cannot_have_more_mappings_than_the_limit_or_one_over_another()
    {
        _map.TryMap(0x1000, Range(0, 0x2000), true).Should().BeTrue();
        _map.TryMap(0x1000, Range(0, 0x1000), true).Should().BeFalse();
        _map.TryMap(0x2000, Range(0, 0x1000), true).Should().BeFalse();
        _map.TryMap(0x4000, Range(0, 0x1000), true).Should().BeTrue();
        _map.TryMap(0x5000, Range(0, 0x1000), true).Should().BeTrue();
        _map.TryMap(0x6000, Range(0, 0x1000), true).Should().BeFalse();
        _map.Count.Should().Be(3);
    }

    [Fact]
    public void Memory_that_goes_is_unmapped_and_so_is_everything_at_the_end()
    {
        _map.TryMap(0x1000, Range(0x1000, 0x1000), true);
        _map.TryMap(0x8000, Range(0x1_1000, 0x1000), true);
        _memory.Remove(_low);
        _mapper.Mapped.Keys.Should().Equal(0x8000ul);
        _map.TryMap(0x1000, Range(0x1000, 0x1000), true).Should().BeFalse();
        _map.Dispose();
        _mapper.Mapped.Should().BeEmpty();
        _memory.Current.Regions.Should().ContainSingle();
    }

    private static GuestRange Range(ulong address, ulong length)
    {
        GuestRange.TryCreate(address, length, out GuestRange range);
        return range;
    }
}
