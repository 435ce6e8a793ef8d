using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Interop;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>Regions: what the kernel says of them, and what is done with it.</summary>
public sealed class RegionTests
{
    [Fact]
    [Trait("Behaviour", "VFIO-2")]
    public void Sizes_and_rights_are_those_that_the_kernel_reports_and_nothing_is_written_to_find_out()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController();
        fake.Regions[2].Size = 0x40;
        fake.Regions[4].Size = 64ul << 30;
        fake.Regions[4].Flags = 5;
        fake.Regions[6].Size = 0x40000;
        fake.Regions[6].Flags = 1;

        using VfioPciDevice device = kernel.Attach();

        device.GetRegion(PciRegionIndex.Bar0).Size.Should().Be(0x4000);
        device.GetRegion((PciRegionIndex)1).Size.Should().Be(0, "the other half of a 64-bit BAR");
        device.GetRegion((PciRegionIndex)2).Should().BeEquivalentTo(new { Size = 0x40ul, CanRead = true, CanWrite = true });
        device.GetRegion((PciRegionIndex)4).Should().BeEquivalentTo(new { Size = 64ul << 30, CanRead = true, CanWrite = false });
        device.GetRegion(PciRegionIndex.Rom).Should().BeEquivalentTo(new { Size = 0x40000ul, CanRead = true, CanWrite = false });
        device.GetRegion(PciRegionIndex.Configuration).Size.Should().Be(0x1000);
        fake.Accesses.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-1")]
    public void A_description_that_is_longer_than_expected_is_asked_for_again_with_room()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController();
        fake.Regions[0].Size = 1 << 20;
        fake.Regions[0].Areas = [.. Enumerable.Range(0, 100).Select(i => new RegionArea((ulong)i * 0x2000, 0x1000))];

        using VfioPciDevice device = kernel.Attach();

        device.GetRegion(PciRegionIndex.Bar0).MappableAreas.Should().Equal(fake.Regions[0].Areas);
        kernel.Log.Count(line => line == "VFIO_DEVICE_GET_REGION_INFO 0000:00:10.0 0").Should().Be(2);
        kernel.Log.Count(line => line == "VFIO_DEVICE_GET_REGION_INFO 0000:00:10.0 2").Should().Be(1);
    }

    [Theory]
    [InlineData(7u, null, false, "0+4000")]
    [InlineData(3, null, false, "")]
    [InlineData(7, "", false, "")]
    [InlineData(7, "0+2000,3000+1000", false, "0+2000,3000+1000")]
    [InlineData(7, "3000+1000,0+2000", false, "3000+1000,0+2000")]
    [InlineData(7, "0+1234,3000+0", false, "0+1234")]
    [InlineData(3, "0+2000", false, "")]
    [InlineData(7, null, true, "0+4000")]
    [InlineData(7, "0+2000", true, "0+2000")]
    [Trait("Behaviour", "VFIO-3")]
    public void Areas_are_as_reported(uint flags, string? sparse, bool msixMappable, string expected)
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController();
        (fake.Regions[0].Flags, fake.Regions[0].Areas, fake.Regions[0].MsixMappable) = (flags, sparse is null ? null : Parse(sparse), msixMappable);

        using VfioPciDevice device = kernel.Attach();

        BackendRegion region = device.GetRegion(PciRegionIndex.Bar0);
        region.MappableAreas.Should().Equal(Parse(expected));
        region.TableIsMappable.Should().Be(msixMappable);
    }

    [Theory]
    [InlineData(12, 8u)]
    [InlineData(12, 31u)]
    [InlineData(12, 0x1000u)]
    [InlineData(12, uint.MaxValue)]
    [InlineData(32 + 4, 32u)]
    [InlineData(32 + 4, 4u)]
    [InlineData(32 + 4, 0xffff_fff8u)]
    [InlineData(32 + 8, 3u)]
    [InlineData(32 + 8, 0x1000_0001u)]
    [InlineData(32 + 8, uint.MaxValue)]
    [InlineData(32 + 16, 0x4001u)]
    [InlineData(32 + 16 + 4, uint.MaxValue)]
    [InlineData(32 + 16 + 8 + 4, uint.MaxValue)]
    [InlineData(24 + 4, 0x8000_0000u)]
    [Trait("Behaviour", "VFIO-7")]
    public void A_description_that_contradicts_itself_is_refused_and_nothing_hangs(int field, uint lie)
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();
        kernel.Falsify = (request, index, answer) =>
        {
            if (request == VfioRequests.VFIO_DEVICE_GET_REGION_INFO && index == 0)
            {
                BitConverter.TryWriteBytes(answer.AsSpan(field), lie).Should().BeTrue();
            }
        };

        kernel.Refused().Step.Should().Be("VFIO_DEVICE_GET_REGION_INFO");
        kernel.ShouldHoldNothing();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-7")]
    public void Descriptions_of_random_bytes_are_refused_or_taken_but_nothing_else_is_thrown()
    {
        var random = new Random(4711);
        int refused = 0;
        for (int i = 0; i < 3000; i++)
        {
            var kernel = new FakeVfioKernel();
            kernel.AddController().CanReset = false;
            kernel.Falsify = (_, _, answer) =>
            {
                for (int flips = random.Next(1, 6); flips > 0; flips--)
                {
                    int at = random.Next(answer.Length);
                    answer[at] = random.Next(3) switch { 0 => 0xff, 1 => 0, _ => (byte)random.Next(256) };
                }
            };

            try
            {
                using VfioPciDevice device = kernel.Attach();
                foreach (BackendRegion region in Enumerable.Range(0, 8).Select(index => device.GetRegion((PciRegionIndex)index)))
                {
                    region.MappableAreas.Should().NotContain(area => !GuestRange.Fits(area.Offset, area.Length, region.Size));
                }
            }
            catch (VfioException)
            {
                refused++;
            }

            kernel.ShouldHoldNothing();
        }

        refused.Should().BeInRange(1, 2999);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-7")]
    public void A_kernel_that_never_has_room_enough_is_given_up()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController().Regions[0].Areas = [.. Enumerable.Range(0, 70_000).Select(_ => new RegionArea(0, 0x1000))];

        kernel.Refused().Message.Should().Contain("region Bar0");
        kernel.ShouldHoldNothing();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-13")]
    public void Accesses_have_exactly_their_width_and_place()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController();
        using VfioPciDevice device = kernel.Attach();
        fake.Regions[0].Bytes[0x10] = 0x12;
        fake.Accesses.Clear();
        foreach (int width in new[] { 1, 2, 4, 8 })
        {
            byte[] bytes = new byte[width];
            device.TryRead(PciRegionIndex.Bar0, 0x10, bytes).Should().BeTrue();
            bytes[0].Should().Be(0x12);
            device.TryWrite(PciRegionIndex.Bar0, 0x20, bytes).Should().BeTrue();
        }

        fake.Accesses.Select(access => (access.Region, access.Offset, access.Width, access.Written is not null)).Should().Equal(
            new[] { 1, 2, 4, 8 }.SelectMany(
                width => new[] { (PciRegionIndex.Bar0, 0x10ul, width, false), (PciRegionIndex.Bar0, 0x20ul, width, true) }));
    }

    [Fact]
    [Trait("Behaviour", "VFIO-13")]
    public void An_access_that_the_device_does_not_answer_is_false_and_never_throws()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController();
        fake.Regions[6].Size = 0x1000;
        fake.Regions[6].Flags = 1;
        VfioPciDevice device = kernel.Attach();
        byte[] four = new byte[4];

        device.TryRead(PciRegionIndex.Bar0, 0x3ffd, four).Should().BeFalse("it passes the end");
        device.TryRead(PciRegionIndex.Bar0, ulong.MaxValue, four).Should().BeFalse();
        device.TryRead((PciRegionIndex)1, 0, four).Should().BeFalse("there is no such BAR");
        device.TryRead((PciRegionIndex)9, 0, four).Should().BeFalse();
        device.TryRead((PciRegionIndex)(-1), 0, four).Should().BeFalse();
        device.TryWrite(PciRegionIndex.Rom, 0, four).Should().BeFalse("it is read-only");
        fake.Regions[0].IsDead = true;
        device.TryRead(PciRegionIndex.Bar0, 0, four).Should().BeFalse();
        device.TryWrite(PciRegionIndex.Bar0, 0, four).Should().BeFalse();
        device.Dispose();
        device.TryRead(PciRegionIndex.Configuration, 0, four).Should().BeFalse("it is closed");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    public unsafe void A_mapped_part_is_the_same_memory_that_accesses_reach()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController();
        using VfioPciDevice device = kernel.Attach();

        using HostMemory map = device.Map(PciRegionIndex.Bar0, new RegionArea(0x1000, 0x1000), writable: true);

        map.Pointer[8] = 0x5a;
        byte[] one = new byte[1];
        device.TryRead(PciRegionIndex.Bar0, 0x1008, one).Should().BeTrue();
        one[0].Should().Be(0x5a);
        kernel.CountOf("mmap 0000:00:10.0 0 0x1000+0x1000").Should().Be(1);
    }

    [Theory]
    [InlineData(0, 0x2000ul, 0x1000ul)]
    [InlineData(0, 0x1000, 0x2000)]
    [InlineData(0, 0x3000, 0x2000)]
    [InlineData(0, 0, 0)]
    [InlineData(0, ulong.MaxValue, 0x1000)]
    [InlineData(2, 0, 0x1000)]
    [Trait("Behaviour", "VFIO-3")]
    public void What_lies_in_no_area_cannot_be_mapped(int region, ulong offset, ulong length)
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();
        using VfioPciDevice device = kernel.Attach();

        FluentActions.Invoking(() => device.Map((PciRegionIndex)region, new RegionArea(offset, length), true)).Should().Throw<ArgumentException>();
        kernel.CountOf("mmap").Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-5")]
    public void A_mapping_that_the_kernel_refuses_says_of_what_and_why()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();
        using VfioPciDevice device = kernel.Attach();
        kernel.Refuse = line => line.StartsWith("mmap", StringComparison.Ordinal) ? Errno.ENOMEM : 0;

        FluentActions.Invoking(() => device.Map(PciRegionIndex.Bar0, new RegionArea(0, 0x1000), true)).Should().Throw<VfioException>()
            .Where(e => e.Step == "mmap" && e.Errno == Errno.ENOMEM && e.Path == "0000:00:10.0");
    }

    [Fact]
    public void What_is_not_a_PCI_device_to_the_kernel_is_refused()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController().Flags = 4;

        kernel.Refused().Step.Should().Be("VFIO_DEVICE_GET_INFO");
        kernel.ShouldHoldNothing();
    }

    private static List<RegionArea> Parse(string areas)
    {
        return [.. areas.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(area => area.Split('+'))
            .Select(parts => new RegionArea(Convert.ToUInt64(parts[0], 16), Convert.ToUInt64(parts[1], 16)))];
    }
}
