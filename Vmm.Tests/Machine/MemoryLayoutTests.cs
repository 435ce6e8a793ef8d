using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Host;
using Vmm.Machine.Layout;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Tests.Pci;

namespace Vmm.Tests.Machine;

/// <summary>Where RAM and the windows lie.</summary>
public sealed class MemoryLayoutTests
{
    private const ulong GiB = 1UL << 30;

    [Theory]
    [InlineData(256UL << 20, 256UL << 20, 0UL)]
    [InlineData(3 * GiB, 3 * GiB, 0UL)]
    [InlineData(5 * GiB, 3 * GiB, 2 * GiB)]
    public void RAM_that_does_not_fit_below_the_hole_lies_above_it(ulong size, ulong low, ulong high)
    {
        var layout = MemoryLayout.Create(size, 40);
        layout.LowLength.Should().Be(low);
        layout.Ram.Skip(1).Select(range => (range.Address, range.Length)).Should().Equal(high == 0 ? [] : [(MemoryLayout.HoleEnd, high)]);
        layout.CreateMemoryMap().Where(e => e.Type == MemoryMapType.Ram).Sum(e => (long)e.Length)
            .Should().BeCloseTo((long)size, 0x6_0400 + 1, "all of it but the reserved part of the first MiB");
    }

    [Theory]
    [InlineData(16UL << 20, 36)]
    [InlineData(256UL << 20, 40)]
    [InlineData(5 * GiB, 40)]
    [InlineData(60 * GiB, 36)]
    [InlineData(700 * GiB, 40)]
    [InlineData(1000 * GiB, 41)]
    [InlineData(1011 * GiB, 48)]
    [InlineData(2048 * GiB, 46)]
    [InlineData(4096 * GiB, 52)]
    public void Nothing_overlaps_and_everything_is_addressable(ulong size, int bits)
    {
        var layout = MemoryLayout.Create(size, bits);
        (ulong Start, ulong End)[] ranges =
        [
            .. Ends([layout.Ram[0]]),
            (MemoryLayout.Pci32Start, MemoryLayout.Pci32Start + MemoryLayout.Pci32Length),
            (MemoryLayout.EcamStart, MemoryLayout.EcamStart + MemoryLayout.EcamLength),
            (MemoryLayout.IoApic, MemoryLayout.IoApic + 0x1000),
            (MemoryLayout.LocalApic, MemoryLayout.LocalApic + 0x1000),
            (MemoryLayout.KvmPrivate, MemoryLayout.KvmPrivate + 0x4000),
            .. Ends([.. layout.Ram.Skip(1), .. layout.Pci64Windows]).OrderBy(range => range.Start),
        ];
        ranges.Zip(ranges.Skip(1)).Should().OnlyContain(p => p.First.End <= p.Second.Start);
        ranges.Max(range => range.End).Should().Be(bits == 40 ? 0xFD_0000_0000 : 1UL << bits, "all that is addressable is used");
        layout.Ram.Sum(range => (long)range.Length).Should().Be((long)size);
        layout.Pci64Windows.Should().NotBeEmpty();
    }

    [Theory]
    [InlineData(16 * GiB, 40)]
    [InlineData(900 * GiB, 46)]
    [InlineData(1010 * GiB, 46)]
    [InlineData(1011 * GiB, 46)]
    [InlineData(1012 * GiB, 48)]
    [InlineData(2048 * GiB, 48)]
    [InlineData(8192 * GiB, 52)]
    public void Nothing_lies_where_AMD_hosts_have_HyperTransport(ulong size, int bits)
    {
        var layout = MemoryLayout.Create(size, bits);
        (ulong Start, ulong End)[] used = Ends([.. layout.Ram, .. layout.Pci64Windows]);
        used.Should().OnlyContain(range => range.End <= 0xFD_0000_0000 || range.Start >= 0x100_0000_0000);
        layout.CreateMemoryMap().Where(entry => entry.Type == MemoryMapType.Ram && entry.Address >= MemoryLayout.HoleEnd)
            .Select(entry => (entry.Address, entry.Length)).Should().Equal(layout.Ram.Skip(1).Select(range => (range.Address, range.Length)));
        layout.CreateMemoryMap().Should().Contain(new MemoryMapEntry(0xFD_0000_0000, 12 * GiB, MemoryMapType.Reserved));
    }

    [Fact]
    public void RAM_goes_on_at_1_TiB_where_it_reaches_HyperTransport()
    {
        var layout = MemoryLayout.Create(2048 * GiB, 46);
        layout.Ram.Select(range => (range.Address, range.Length)).Should().Equal(
            (0UL, 3 * GiB), (4 * GiB, 1008 * GiB), (1024 * GiB, (2048 - 1011) * GiB));
        layout.Pci64Windows.Should().ContainSingle().Which.Address.Should().Be((1024 + 2048 - 1011) * GiB);
    }

    [Theory]
    [Trait("Behaviour", "PCI-14")]
    [InlineData(16, 40, 1, 256)]
    [InlineData(16, 40, 2, 128)]
    [InlineData(16, 40, 8, 64)]
    [InlineData(16, 46, 8, 256)]
    [InlineData(16, 48, 31, 1024)]
    [InlineData(1500, 46, 8, 256)]
    public void The_BARs_of_large_devices_get_addresses_beside_RAM(int memory, int bits, int devices, int size)
    {
        var layout = MemoryLayout.Create((ulong)memory * GiB, bits);
        var rig = new PciRig([.. layout.CreatePciWindows()]);
        List<PciFunction> functions = [];
        for (int device = 1; device <= devices; device++)
        {
            // As graphics processors have them, in an order that a first fit by itself would not bear.
            functions.Add(rig.Add(
                PciRig.Function(
                    new PciBar(0, PciBarKind.Memory64, 16 << 20, []),
                    new PciBar(2, PciBarKind.Memory64, (ulong)size * GiB, [], prefetchable: true),
                    new PciBar(4, PciBarKind.Memory64, 32 << 20, [], prefetchable: true)),
                device));
        }

        rig.Bridge.Root.AssignResources();

        var taken = functions.SelectMany(function => function.Bars.Select(bar => (Start: function.GetBarAddress(bar.Index), bar.Size)))
            .Order().ToList();
        taken.Should().HaveCount(3 * devices).And.OnlyContain(bar => bar.Start % bar.Size == 0);
        taken.Zip(taken.Skip(1)).Should().OnlyContain(pair => pair.First.Start + pair.First.Size <= pair.Second.Start);
        taken.Should().OnlyContain(
            bar => layout.Pci64Windows.Any(window => bar.Start >= window.Address && bar.Start + bar.Size <= window.Address + window.Length));
    }

    [Theory]
    [InlineData(0x0000_0000u, 36)]
    [InlineData(0x0000_3027u, 39)]
    [InlineData(0x0000_302Eu, 46)]
    [InlineData(0x0000_3920u, 36)]
    [InlineData(0x0000_3934u, 48)]
    [InlineData(0x0034_3934u, 52)]
    [InlineData(0x0030_3934u, 48)]
    [InlineData(0x0030_302Eu, 46)]
    [InlineData(0x0039_3939u, 52)]
    public void The_width_of_addresses_is_what_the_processor_and_the_page_tables_reach(uint eax, int bits)
    {
        PhysicalAddressWidth.FromLeaf(eax).Should().Be(bits);
    }

    [Fact]
    public void The_memory_map_is_sorted_without_overlap()
    {
        MemoryLayout.Create(2048 * GiB, 46).CreateMemoryMap().Should().BeInAscendingOrder(entry => entry.Address);
        IReadOnlyList<MemoryMapEntry> map = MemoryLayout.Create(5 * GiB, 40).CreateMemoryMap();
        map.Zip(map.Skip(1)).Should().OnlyContain(p => p.First.Address + p.First.Length <= p.Second.Address);
        map.Should().ContainSingle(
            e => e.Address == MemoryLayout.EcamStart && e.Type == MemoryMapType.Reserved, "Linux uses ECAM only where it is reserved");
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(15UL << 20)]
    [InlineData((256UL << 20) + 1)]
    [InlineData(1012 * GiB)]
    [InlineData(1024 * GiB)]
    [InlineData(ulong.MaxValue & ~0xFFFUL)]
    public void Impossible_sizes_are_refused(ulong size)
    {
        Action act = () => MemoryLayout.Create(size, 40);
        act.Should().Throw<MachineException>().Which.Part.Should().Be("memory");
    }

    [Fact]
    public void A_kernel_may_be_loaded_between_1_MiB_and_the_hole()
    {
        var layout = MemoryLayout.Create(5 * GiB, 40);
        layout.IsLoadable(0x10_0000, 1).Should().BeTrue();
        layout.IsLoadable(0xF_FFFF, 2).Should().BeFalse();
        layout.IsLoadable(3 * GiB - 1, 1).Should().BeTrue();
        layout.IsLoadable(3 * GiB - 1, 2).Should().BeFalse();
        layout.IsLoadable(ulong.MaxValue, ulong.MaxValue).Should().BeFalse();
    }

    private static (ulong Start, ulong End)[] Ends(IEnumerable<GuestRange> ranges)
    {
        return [.. ranges.Select(static range => (range.Address, range.Address + range.Length))];
    }
}
