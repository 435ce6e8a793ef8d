using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;
using Vmm.Machine;
using Vmm.Machine.Layout;
using Vmm.Tests.DeviceModel.Memory;

namespace Vmm.Tests.Machine;

/// <summary>The RAM of a machine, without a hypervisor.</summary>
[Trait("Behaviour", "MEM-6")]
public sealed class MachineMemoryTests
{
    [Theory]
    [InlineData(false, true)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    public unsafe void RAM_asks_for_transparent_huge_pages_unless_told_not_to(bool shared, bool ask)
    {
        var options = new MemoryOptions(64 << 20, Shared: shared);
        options = ask ? options : options with { TransparentHugePages = false };
        using var memory = new MachineMemory(options, MemoryLayout.Create(options.Size, 40), new AddressSpace(new AddressSpaceOptions()));

        GuestMemoryRegion ram = memory.Guest.Current.Regions.Single();
        ((ulong)ram.Memory.Pointer % (2 << 20)).Should().Be(0, "a huge page of the guest has to be one of the host");
        MappingFlags.Of(ram.Memory.Pointer).Contains("hg").Should().Be(ask);
    }

    [Fact]
    public void RAM_over_the_place_of_HyperTransport_lies_around_it_and_is_one_mapping()
    {
        var options = new MemoryOptions(2048UL << 30, TransparentHugePages: false);
        using var memory = new MachineMemory(options, MemoryLayout.Create(options.Size, 46), new AddressSpace(new AddressSpaceOptions()));

        memory.Guest.Current.Regions.Select(region => (region.Address, region.Offset, region.Length)).Should().Equal(
            (0UL, 0UL, 3UL << 30), (4UL << 30, 3UL << 30, 1008UL << 30), (1UL << 40, 1011UL << 30, 1037UL << 30));
        memory.Guest.TryWrite(0xFC_FFFF_FFFF, [1]).Should().BeTrue();
        memory.Guest.TryWrite(0xFD_0000_0000, [1]).Should().BeFalse();
        memory.Guest.TryWrite(0xFF_FFFF_FFFF, [1]).Should().BeFalse();
        memory.Guest.TryWrite(0x100_0000_0000, [1]).Should().BeTrue();
    }
}
