using System;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Virtio.Driver;

[Trait("Behaviour", "DRV-8")]
public sealed class IovaSpaceTests
{
    [Fact]
    public void Addresses_lie_in_valid_ranges_aligned_and_come_back()
    {
        IovaSpace space = Space((0x10_0800, 0x2800), (ulong.MaxValue - 0xfff, 0x1000));
        space.Allocate(1).Should().Be(0x10_1000);
        space.Allocate(0x1000).Should().Be(0x10_2000);
        space.Allocate(0x800).Should().Be(ulong.MaxValue - 0xfff, "the top page is usable");
        space.Invoking(s => s.Allocate(1)).Should().Throw<IovaExhaustedException>().Which.Length.Should().Be(1);
        space.Free(0x10_1000);
        space.Allocate(0x1000).Should().Be(0x10_1000);
        space.Invoking(s => s.Free(0x10_1800)).Should().Throw<ArgumentException>();
        space.Count.Should().Be(3);
    }

    [Fact]
    public void Alignment_is_kept_around_what_is_taken()
    {
        IovaSpace space = Space((0x1000, 0x10_0000));
        space.Allocate(0x1000).Should().Be(0x1000);
        space.Allocate(0x1000, 0x1_0000).Should().Be(0x1_0000);
        space.Allocate(0x1000, 0x1_0000).Should().Be(0x2_0000);
        space.Allocate(0xe000).Should().Be(0x2000);
        space.Invoking(s => s.Allocate(ulong.MaxValue)).Should().Throw<IovaExhaustedException>();
    }

    [Fact]
    public void Any_sub_range_translates_and_nothing_beyond()
    {
        IovaSpace space = Space((0x1000, 0x10_0000));
        ulong at = space.Allocate(0x3000);
        space.TryTranslate(at + 0x1234, 0x1dcc, out ulong start, out ulong offset).Should().BeTrue();
        (start, offset).Should().Be((at, 0x1234UL));
        space.TryTranslate(at + 0x1234, 0x1dcd, out _, out _).Should().BeFalse();
        space.TryTranslate(at - 1, 1, out _, out _).Should().BeFalse();
        space.TryTranslate(at + 1, ulong.MaxValue, out _, out _).Should().BeFalse();
    }

    [Fact]
    public void Exhaustion_while_a_device_is_opened_leaves_nothing_mapped()
    {
        using var disk = new DriverDisk(iovaLength: 0x1000);
        disk.Invoking(d => VirtioBlockDriver.Open(d)).Should().Throw<IovaExhaustedException>();
        disk.Inner.Iovas.Count.Should().Be(0);
    }

    private static IovaSpace Space(params (ulong Address, ulong Length)[] ranges)
    {
        return new IovaSpace(Array.ConvertAll(ranges, r => GuestRange.TryCreate(r.Address, r.Length, out GuestRange range) ? range : default));
    }
}
