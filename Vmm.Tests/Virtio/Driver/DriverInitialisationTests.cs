using System;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Virtio.Driver;

public sealed class DriverInitialisationTests
{
    private static readonly VirtioDriverOptions _impatient = new() { Timeout = TimeSpan.FromMilliseconds(50) };

    [Fact]
    [Trait("Behaviour", "DRV-3")]
    [Trait("Behaviour", "DRV-7")]
    public void Initialisation_and_close_keep_their_order()
    {
        using var disk = new DriverDisk();
        VirtioBlockDriver.Open(disk).Dispose();
        disk.Steps.Should().Equal(
            "no master", "status 0", "status 1", "status 3", "status b", "master", "messages 2", "vector", "status f",
            "no master", "status 0", "interrupts off", "unmap", "unmap", "unmap");
        disk.Inner.Iovas.Count.Should().Be(0);
    }

    [Theory]
    [Trait("Behaviour", "DRV-3")]
    [InlineData(0x00, 4, "features")]
    [InlineData(0x14, 1, "FEATURES_OK")]
    [InlineData(0x18, 2, "queues")]
    [InlineData(0x12, 2, "queues")]
    public void A_failure_sets_FAILED_and_leaves_nothing_mapped(int register, int width, string step)
    {
        using var disk = new DriverDisk();
        disk.OnRead = (offset, value) => offset switch
        {
            0x04 when register == 0 => 0,
            0x14 when register == 0x14 => value & ~8UL,
            0x12 or 0x18 when offset == (ulong)register => 0,
            _ => value,
        };
        disk.Invoking(d => VirtioBlockDriver.Open(d))
            .Should().Throw<DriverException>($"register 0x{register:x} of {width} bytes lies").Which.Step.Should().Be(step);
        disk.Steps.Should().Contain(s => s == "status 80");
        disk.Inner.Iovas.Count.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "DRV-3")]
    public void A_device_that_never_resets_is_given_up()
    {
        using var disk = new DriverDisk { OnRead = (offset, value) => offset == 0x14 ? 0x0f : value };
        disk.Invoking(d => VirtioPciDriver.Open(d, _impatient)).Should().Throw<DriverException>().Which.Step.Should().Be("reset");
        disk.Inner.Iovas.Count.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "DRV-7")]
    public void Memory_of_a_device_that_does_not_stop_stays_mapped()
    {
        using var disk = new DriverDisk();
        var driver = VirtioBlockDriver.Open(disk, _impatient);
        disk.OnRead = (offset, value) => offset == 0x14 ? 0x0f : value;
        driver.Dispose();
        driver.Driver.IsAbandoned.Should().BeTrue();
        disk.Inner.Iovas.Count.Should().Be(3);
        disk.Steps.Should().NotContain("unmap");
    }

    [Fact]
    [Trait("Behaviour", "DRV-4")]
    public void A_refused_vector_is_noticed_and_the_queue_polled()
    {
        using var disk = new DriverDisk { OnRead = (offset, value) => offset == 0x1a ? 0xffff : value };
        using var driver = VirtioBlockDriver.Open(disk);
        driver.Driver.Queues[0].Vector.Should().BeNull();
        byte[] read = new byte[512];
        driver.Read(2, read);
        read.Should().Equal(disk.File.Content.AsSpan(1024, 512).ToArray());
    }

    [Fact]
    [Trait("Behaviour", "DRV-5")]
    public void A_notify_address_outside_the_structure_is_refused()
    {
        using var disk = new DriverDisk { OnRead = (offset, value) => offset == 0x1e ? 0x4000 : value };
        disk.Invoking(d => VirtioBlockDriver.Open(d)).Should().Throw<DriverException>().Which.Step.Should().Be("notification");
        disk.Inner.Iovas.Count.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "DRV-5")]
    public void A_closed_device_is_not_notified()
    {
        using var disk = new DriverDisk();
        using var open = VirtioPciDriver.Open(disk);
        open.Queues.Should().BeEmpty("there is no queue to notify before the start");
        open.Start(1);
        DriverQueue queue = open.Queues[0];
        disk.OnRead = (offset, value) => offset == 0x14 ? 0x0f : value;
        queue.Notify();
        disk.OnRead = null;
        open.Dispose();
        queue.Invoking(q => q.Notify()).Should().Throw<Exception>();
    }

    [Fact]
    [Trait("Behaviour", "DRV-6")]
    public void Configuration_that_changes_under_a_read_is_read_again()
    {
        using var disk = new DriverDisk();
        using var driver = VirtioPciDriver.Open(disk);
        int generations = 0;
        int halves = 0;
        disk.OnRead = (offset, value) =>
        {
            ulong config = disk.Inner.ReadConfiguration(disk.Capability(4) + 8, 4);
            halves += offset == config || offset == config + 4 ? 1 : 0;
            return offset == 0x15 ? (ulong)Math.Min(++generations, 4) : value;
        };
        driver.ReadDeviceConfiguration(field => field(0, 8)).Should().Be(512);
        halves.Should().Be(6, "two changes, then a read that holds; a 64-bit field is two reads");
        disk.OnRead = (offset, value) => offset == 0x15 ? (ulong)(++generations & 0xff) : value;
        driver.Invoking(d => d.ReadDeviceConfiguration(field => field(0, 8))).Should().Throw<DriverException>();
        disk.OnRead = null;
        driver.Invoking(d => d.ReadDeviceConfiguration(field => field(0x10000, 4))).Should().Throw<DriverException>();
    }
}
