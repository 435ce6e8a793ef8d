using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>virtio 1.2, 2.10 and 4.1.4.7: shared memory regions in a BAR of their own.</summary>
[Trait("Behaviour", "VTP-1")]
public sealed class SharedMemoryTests : IDisposable
{
    private const ulong SharedBase = 0x10_0000_0000;

    private readonly HostMemory _memory = HostMemory.AllocateAnonymous(8 << 20);

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void A_region_has_a_64_bit_capability_and_a_prefetchable_BAR_of_its_own()
    {
        using var rig = new TransportRig(Device(new SharedMemoryRegion(3, _memory, 0x2000, 0x5000)));
        (int at, byte id, ulong offset, ulong length) = Regions(rig).Should().ContainSingle().Subject;
        id.Should().Be(3);
        offset.Should().Be(0);
        length.Should().Be(0x5000);
        rig.Driver.ReadConfig(at + 2, 1).Should().Be(24, "struct virtio_pci_cap64");
        rig.Driver.ReadConfig(at + 4, 1).Should().Be(2, "its BAR");
        rig.Driver.ReadConfig(at + 6, 2).Should().Be(0, "padding");
        rig.Driver.WriteConfig(0x18, 4, uint.MaxValue);
        rig.Driver.WriteConfig(0x1c, 4, uint.MaxValue);
        rig.Driver.ReadConfig(0x18, 4).Should().Be(0xffff_800c, "64-bit, prefetchable, 32 KiB");
        rig.Driver.ReadConfig(0x1c, 4).Should().Be(uint.MaxValue);
        rig.Driver.Structures.Where(s => s.Key != VirtioPciCapabilityType.SharedMemory).Should().OnlyContain(s => s.Value.Bar == 0);
        rig.Driver.Capabilities.Should().Contain(c => c.Id == 0x10, "one region leaves room for function-level reset");
    }

    [Fact]
    public void The_BAR_decodes_as_memory_slots_and_follows_its_registers()
    {
        using var rig = new TransportRig(Device(new SharedMemoryRegion(1, _memory, 0x1000, 0x3000, ReadOnly: true)));
        Place(rig, SharedBase);
        MappedSlot slot = rig.Slots.Mapped.Should().ContainSingle().Subject;
        slot.Should().Be(new MappedSlot(SharedBase, 0x3000, Host(0x1000), true));
        Place(rig, SharedBase + 0x4000);
        rig.Slots.Mapped.Should().ContainSingle().Which.Address.Should().Be(SharedBase + 0x4000);
        rig.Driver.WriteConfig(4, 2, 4);
        rig.Slots.Mapped.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "PCI-6")]
    public void What_the_hypervisor_refuses_of_a_move_is_dispatched_and_leaves_the_other_BAR_alone()
    {
        using var rig = new TransportRig(Device(new SharedMemoryRegion(1, _memory, 0, 0x3000), new SharedMemoryRegion(2, _memory, 0x4000, 0x1000)));
        rig.Driver.Start(queues: [0, 1]);
        Place(rig, SharedBase);
        rig.Slots.Mapped.Should().HaveCount(2);

        // The second of two slots is the one that is refused.
        rig.Slots.Refuse = address => address == 0x20_0000_3000;
        Place(rig, 0x20_0000_0000);

        rig.Slots.Mapped.Select(slot => slot.Address).Should().Equal(0x20_0000_0000);
        rig.Function.FailedMappings.Should().Be(0);
        rig.Memory.RefusedSlots.Should().Be(1);
        rig.Function.GetMappedAddress(2).Should().Be(0x20_0000_0000);
        rig.Driver.ReadConfig(0x1c, 4).Should().Be(0x20, "the register keeps what the guest wrote");
        rig.Memory.Write(0x20_0000_3010, 4, 0x1234_5678);
        rig.Memory.Read(0x20_0000_3010, 4).Should().Be(0x1234_5678);
        rig.Memory.Read(SharedBase, 4).Should().Be(uint.MaxValue);
        rig.Driver.Status.Should().Be(0xf, "the structures decode on");
        rig.Doorbells.Addresses.Should().HaveCount(2);
        Place(rig, SharedBase);
        rig.Slots.Mapped.Select(slot => slot.Address).Should().Equal(SharedBase, SharedBase + 0x3000);
    }

    [Fact]
    public unsafe void Bytes_are_the_devices_and_past_a_region_there_is_nothing()
    {
        using var rig = new TransportRig(Device(new SharedMemoryRegion(1, _memory, 0x1000, 0x1804)));
        Place(rig, SharedBase);
        *(uint*)(_memory.Pointer + 0x1008) = 0x1234_5678;
        rig.Memory.Read(SharedBase + 8, 4).Should().Be(0x1234_5678);
        rig.Memory.Write(SharedBase + 0x1800, 4, 0xfeed);
        (*(uint*)(_memory.Pointer + 0x2800)).Should().Be(0xfeed);
        rig.Memory.Read(SharedBase + 0x1804, 4).Should().Be(uint.MaxValue);
        rig.Memory.Write(SharedBase + 0x1804, 4, 1);
        (*(uint*)(_memory.Pointer + 0x2804)).Should().Be(0);
        rig.Slots.Mapped.Should().ContainSingle().Which.Length.Should().Be(0x1000, "whole pages");
        rig.Driver.AimWindow(2, 8, 4);
        rig.Driver.ReadWindow().Should().Be(0x1234_5678, "the configuration window reaches every BAR");
        rig.Driver.AimWindow(2, 0x1804, 4);
        rig.Driver.ReadWindow().Should().Be(uint.MaxValue);
    }

    [Fact]
    public void Several_regions_lie_apart_and_each_has_its_capability()
    {
        using var rig = new TransportRig(
            Device(new(0, _memory, 0, 0x800), new(9, _memory, 0x1000, 3 << 20), new(2, _memory, 0, 0x1000)), new VirtioPciOptions { Vectors = 1 });
        List<(int At, byte Id, ulong Offset, ulong Length)> regions = Regions(rig);
        regions.Select(r => (r.Id, r.Length)).Should().Equal((0, 0x800ul), (9, 3ul << 20), (2, 0x1000ul));
        regions.Should().OnlyContain(r => r.Offset % 4096 == 0);
        regions[1].Offset.Should().Be(2 << 20, "a large region can be mapped by huge pages");
        regions.Zip(regions.Skip(1)).Should().OnlyContain(pair => pair.First.Offset + pair.First.Length <= pair.Second.Offset);
        rig.Function.Bars[1].Size.Should().Be(8 << 20);
        Place(rig, SharedBase);
        rig.Memory.Write(SharedBase + regions[2].Offset, 8, 77);
        rig.Memory.Read(SharedBase + regions[0].Offset, 8).Should().Be(77, "both are the same bytes of the host");
    }

    [Theory]
    [InlineData(0x800, 0x1000, 0x1000, 0x2000)]
    [InlineData(0x1000, (2 << 20) - 0x1000, 0x1000, 2 << 20)]
    [InlineData(0x1000, 2 << 20, 2 << 20, 4 << 20)]
    [InlineData(0x1001, 0x1000, 0x2000, 0x4000)]
    public void Regions_are_aligned_to_pages_and_from_2_MiB_on_to_those(ulong first, ulong second, ulong offset, ulong size)
    {
        using var rig = new TransportRig(Device(new(0, _memory, 0, first), new(1, _memory, 0, second)));
        Regions(rig).Select(r => r.Offset).Should().Equal(0, offset);
        rig.Function.Bars[1].Size.Should().Be(size);
    }

    [Fact]
    public void The_BAR_has_whole_pages_at_the_least()
    {
        using var rig = new TransportRig(Device(new SharedMemoryRegion(0, _memory, 0, 0x10)));
        rig.Function.Bars[1].Size.Should().Be(0x1000);
    }

    [Fact]
    public void More_than_4_GiB_is_told_by_the_upper_halves()
    {
        using var large = HostMemory.AllocateAnonymous(6UL << 30);
        using var rig = new TransportRig(Device(new(0, large, 0, 5UL << 30), new(1, large, 0, 0x1_0000_1000)), new VirtioPciOptions { Vectors = 0 });
        Regions(rig).Select(r => (r.Offset, r.Length)).Should().Equal((0, 5UL << 30), (5UL << 30, 0x1_0000_1000ul));
        rig.Function.Bars[1].Size.Should().Be(16UL << 30);
    }

    [Fact]
    public void A_reset_leaves_the_bytes_as_they_are()
    {
        using var rig = new TransportRig(Device(new SharedMemoryRegion(0, _memory, 0, 0x1000)));
        Place(rig, SharedBase);
        rig.Memory.Write(SharedBase, 4, 5);
        rig.Driver.Status = 1;
        rig.Driver.Status = 0;
        rig.Memory.Read(SharedBase, 4).Should().Be(5);
    }

    [Theory]
    [InlineData(0x800, 0x1000)]
    [InlineData(0, 0)]
    [InlineData(0x1000, 8 << 20)]
    [InlineData(16 << 20, 0x1000)]
    public void A_region_that_its_memory_has_not_got_is_refused(ulong offset, ulong length)
    {
        using var rig = new TransportRig();
        FluentActions.Invoking(() => rig.AddFunction(Device(new SharedMemoryRegion(4, _memory, offset, length))))
            .Should().Throw<ArgumentException>().WithMessage("*region 4*");
    }

    [Fact]
    public void Two_regions_with_one_id_and_more_than_the_list_holds_are_refused()
    {
        using var rig = new TransportRig();
        var region = new SharedMemoryRegion(4, _memory, 0, 0x1000);
        FluentActions.Invoking(() => rig.AddFunction(Device(region, region))).Should().Throw<ArgumentException>().WithMessage("*one id*");
        FluentActions.Invoking(() => rig.AddFunction(Device([.. Enumerable.Range(0, 5).Select(i => region with { Id = (byte)i })])))
            .Should().Throw<ArgumentException>().WithMessage("*overflows*");
    }

    private static FakeVirtioDevice Device(params SharedMemoryRegion[] regions)
    {
        var device = new FakeVirtioDevice();
        device.Shared.AddRange(regions);
        return device;
    }

    private static void Place(TransportRig rig, ulong address)
    {
        rig.Driver.WriteConfig(0x18, 4, (uint)address);
        rig.Driver.WriteConfig(0x1c, 4, (uint)(address >> 32));
    }

    private static List<(int At, byte Id, ulong Offset, ulong Length)> Regions(TransportRig rig)
    {
        TestDriver driver = rig.Driver;
        return [.. driver.Capabilities.Where(c => c.Id == 9 && driver.ReadConfig(c.Offset + 3, 1) == 8).Select(c => (
            c.Offset,
            (byte)driver.ReadConfig(c.Offset + 5, 1),
            driver.ReadConfig(c.Offset + 8, 4) | ((ulong)driver.ReadConfig(c.Offset + 16, 4) << 32),
            driver.ReadConfig(c.Offset + 12, 4) | ((ulong)driver.ReadConfig(c.Offset + 20, 4) << 32)))];
    }

    private unsafe nint Host(ulong offset) => (nint)(_memory.Pointer + offset);
}
