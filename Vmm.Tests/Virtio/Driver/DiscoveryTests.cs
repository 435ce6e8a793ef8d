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
        VirtioPciStructures honest = VirtioPciStructures.Discover(disk);
        // The window's capability poses as a second common configuration, which overlaps the ISR.
        int window = disk.Capability(5);
        disk.Lies[window + 3] = 1;
        disk.Lies[window + 9] = 0x10;
        disk.Lies[window + 12] = 0x40;
        VirtioPciStructures.Discover(disk).Common.Should().Be(honest.Common);
        disk.Lies[disk.Capability(1) + 4] = 7;
        VirtioPciStructures second = VirtioPciStructures.Discover(disk);
        second.Common.Should().Be(new StructureLocation(0, 0x1000, 0x40));
        second.Unusable.Should().Be(1);
    }
}
