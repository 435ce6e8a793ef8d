using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Virtio.Driver;

public sealed class DiscoveryTests
{
    [Theory]
    [Trait("Behaviour", "DRV-2")]
    [InlineData(1, 2, 8)]
    [InlineData(1, 2, 0xf0)]
    [InlineData(1, 4, 6)]
    [InlineData(1, 4, 3)]
    [InlineData(1, 11, 0xff)]
    [InlineData(1, 12, 0x20)]
    [InlineData(1, 8, 1)]
    [InlineData(1, 15, 0x80)]
    [InlineData(2, 2, 16)]
    [InlineData(2, 16, 3)]
    [InlineData(2, 4, 0xff)]
    [InlineData(2, 8, 1)]
    public void A_structure_that_cannot_be_is_not_used(int type, int at, byte lie)
    {
        using var disk = new DriverDisk();
        disk.Lies[disk.Capability(type) + at] = lie;
        disk.Invoking(VirtioPciStructures.Discover).Should().Throw<DriverException>().Which.Step.Should().Be("discovery");
        disk.Steps.Should().BeEmpty();
    }

    [Theory]
    [Trait("Behaviour", "DRV-2")]
    [InlineData(0x0fff)]
    [InlineData(0x1080)]
    [InlineData(0xffff)]
    public void A_device_id_that_is_none_of_virtio_is_refused(int id)
    {
        using var disk = new DriverDisk();
        Identify(disk, id);
        disk.Invoking(VirtioPciStructures.Discover).Should().Throw<DriverException>().Which.Step.Should().Be("discovery");
    }

    [Theory]
    [Trait("Behaviour", "DRV-2")]
    [InlineData(0x1042, VirtioDeviceType.Block)]
    [InlineData(0x1041, VirtioDeviceType.Net)]
    [InlineData(0x1001, VirtioDeviceType.Console)] // the number of a transitional disk, whose subsystem id decides
    [InlineData(0x103f, VirtioDeviceType.Console)]
    public void The_device_id_or_a_transitional_device_s_subsystem_id_says_what_it_is(int id, VirtioDeviceType type)
    {
        using var disk = new DriverDisk();
        Identify(disk, id);
        disk.Lies[0x2e] = 3;
        disk.Lies[0x2f] = 0;
        VirtioPciStructures.Discover(disk).DeviceType.Should().Be(type);
    }

    [Fact]
    [Trait("Behaviour", "DRV-2")]
    public void A_driver_leaves_a_device_of_another_type_alone()
    {
        using var disk = new DriverDisk();
        disk.Invoking(d => VirtioEntropyDriver.Open(d))
            .Should().Throw<DriverException>().WithMessage("*Block*Entropy*").Which.Step.Should().Be("discovery");
        disk.Steps.Should().BeEmpty();
        disk.Writes.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "DRV-2")]
    public void Lists_that_loop_end()
    {
        using var disk = new DriverDisk();
        int last = disk.Capability(5);
        disk.Lies[last + 1] = (byte)disk.Capability(1);
        VirtioPciStructures.Discover(disk).Common.Length.Should().BeGreaterThanOrEqualTo(0x38);
    }

    [Fact]
    [Trait("Behaviour", "DRV-2")]
    public void The_first_usable_instance_is_taken()
    {
        using var disk = new DriverDisk();
        var honest = VirtioPciStructures.Discover(disk);
        // The window's capability poses as a second common configuration, which overlaps the ISR.
        int window = disk.Capability(5);
        disk.Lies[window + 3] = 1;
        disk.Lies[window + 9] = 0x10;
        disk.Lies[window + 12] = 0x40;
        VirtioPciStructures.Discover(disk).Common.Should().Be(honest.Common);
        disk.Lies[disk.Capability(1) + 4] = 7;
        var second = VirtioPciStructures.Discover(disk);
        second.Common.Should().Be(new StructureLocation(0, 0x1000, 0x40));
        second.Unusable.Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "DRV-2")]
    public void Shared_memory_is_found_by_its_64_bit_form()
    {
        using var disk = new DriverDisk();
        VirtioPciStructures.Discover(disk).SharedMemory.Should().BeEmpty();

        // The window's capability poses as region 7: 0x800 bytes at 0x1000 of BAR 0.
        int at = disk.Capability(5);
        byte[] region = [24, 8, 0, 7, 0, 0, 0, 0x10, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for (int i = 0; i < region.Length; i++)
        {
            disk.Lies[at + 2 + i] = region[i];
        }

        VirtioPciStructures.Discover(disk).SharedMemory.Should().Equal(new SharedMemoryLocation(7, 0, 0x1000, 0x800));
        foreach ((int offset, byte lie) in new (int, byte)[] { (2, 20), (4, 6), (4, 2), (16, 1), (20, 1), (13, 0) })
        {
            byte honest = disk.Lies[at + offset];
            disk.Lies[at + offset] = lie;
            var found = VirtioPciStructures.Discover(disk);
            found.SharedMemory.Should().BeEmpty($"byte {offset} is {lie}");
            found.Unusable.Should().Be(1);
            disk.Lies[at + offset] = honest;
        }
    }

    private static void Identify(DriverDisk disk, int id)
    {
        disk.Lies[2] = (byte)id;
        disk.Lies[3] = (byte)(id >> 8);
    }
}
