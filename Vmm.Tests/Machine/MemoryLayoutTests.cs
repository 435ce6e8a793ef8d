using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Machine;

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
        MemoryLayout layout = MemoryLayout.Create(size, 40);
        layout.LowLength.Should().Be(low);
        layout.HighLength.Should().Be(high);
        layout.CreateMemoryMap().Where(e => e.Type == MemoryMapType.Ram).Sum(e => (long)e.Length)
            .Should().BeCloseTo((long)size, 0x6_0400 + 1, "all of it but the reserved part of the first MiB");
    }

    [Theory]
    [InlineData(16UL << 20, 36)]
    [InlineData(256UL << 20, 40)]
    [InlineData(5 * GiB, 40)]
    [InlineData(60 * GiB, 36)]
    [InlineData(700 * GiB, 40)]
    [InlineData(2048 * GiB, 46)]
    public void Nothing_overlaps_and_everything_is_addressable(ulong size, int bits)
    {
        MemoryLayout layout = MemoryLayout.Create(size, bits);
        var ranges = new List<(ulong Start, ulong End)>
        {
            (0, layout.LowLength),
            (MemoryLayout.Pci32Start, MemoryLayout.Pci32Start + MemoryLayout.Pci32Length),
            (MemoryLayout.EcamStart, MemoryLayout.EcamStart + MemoryLayout.EcamLength),
            (MemoryLayout.IoApic, MemoryLayout.IoApic + 0x1000),
            (MemoryLayout.LocalApic, MemoryLayout.LocalApic + 0x1000),
            (MemoryLayout.KvmPrivate, MemoryLayout.KvmPrivate + 0x4000),
            (MemoryLayout.HoleEnd, MemoryLayout.HoleEnd + layout.HighLength),
            (layout.Pci64Start, layout.Pci64Start + layout.Pci64Length),
        };
        ranges.Zip(ranges.Skip(1)).Should().OnlyContain(p => p.First.End <= p.Second.Start);
        ranges[^1].End.Should().BeLessThanOrEqualTo(1UL << bits);
        layout.Pci64Length.Should().BeGreaterThan(0);
    }

    [Fact]
    public void The_memory_map_is_sorted_without_overlap()
    {
        IReadOnlyList<MemoryMapEntry> map = MemoryLayout.Create(5 * GiB, 40).CreateMemoryMap();
        map.Zip(map.Skip(1)).Should().OnlyContain(p => p.First.Address + p.First.Length <= p.Second.Address);
        map.Should().ContainSingle(e => e.Address == MemoryLayout.EcamStart && e.Type == MemoryMapType.Reserved, "Linux uses ECAM only where it is reserved");
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(15UL << 20)]
    [InlineData((256UL << 20) + 1)]
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
        MemoryLayout layout = MemoryLayout.Create(5 * GiB, 40);
        layout.IsLoadable(0x10_0000, 1).Should().BeTrue();
        layout.IsLoadable(0xF_FFFF, 2).Should().BeFalse();
        layout.IsLoadable(3 * GiB - 1, 1).Should().BeTrue();
        layout.IsLoadable(3 * GiB - 1, 2).Should().BeFalse();
        layout.IsLoadable(ulong.MaxValue, ulong.MaxValue).Should().BeFalse();
    }
}
