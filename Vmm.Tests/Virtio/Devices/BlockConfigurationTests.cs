using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using static Vmm.Tests.Virtio.Devices.BlockRequests;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>The configuration of a block device (virtio 1.2, 5.2.4).</summary>
public sealed class BlockConfigurationTests
{
    [Fact]
    public void The_configuration_is_laid_out_as_specified()
    {
        using var file = new TemporaryFile(1 << 20);
        using var device = new BlockDevice(RawFileBackend.Open(file.Path, false), new BlockDeviceOptions { QueueSize = 128 });
        device.DeviceType.Should().Be(VirtioDeviceType.Block);
        device.ConfigurationLength.Should().Be(0x3c);
        device.ReadConfiguration(0, 8).Should().Be(2048, "capacity in sectors");
        device.ReadConfiguration(4, 4).Should().Be(0);
        device.ReadConfiguration(0x0c, 4).Should().Be(126, "seg_max leaves room for header and status");
        device.ReadConfiguration(0x14, 4).Should().Be(512, "blk_size");
        device.ReadConfiguration(0x18, 1).Should().Be(3, "physical_block_exp");
        device.ReadConfiguration(0x20, 1).Should().Be(1, "writeback");
        device.ReadConfiguration(0x22, 2).Should().Be(1, "num_queues");
        device.ReadConfiguration(0x24, 4).Should().Be(1 << 22, "max_discard_sectors");
        device.ReadConfiguration(0x38, 1).Should().Be(1, "write_zeroes_may_unmap");
        device.ReadConfiguration(0x39, 1).Should().Be(0);
        device.WriteConfiguration(0, 8, 5);
        device.ReadConfiguration(0, 8).Should().Be(2048);
    }

    [Fact]
    public void The_write_cache_is_switched_only_when_that_was_negotiated()
    {
        using var file = new TemporaryFile(1 << 20);
        using DeviceHarness disk = Open(file);
        disk.Device.WriteConfiguration(0x20, 1, 0);
        disk.Device.ReadConfiguration(0x20, 1).Should().Be(0);
        Request(disk, Out, 0, new byte[512], 0).Status.Should().Be(Ok);
        disk.Device.WriteConfiguration(0x20, 1, 7);
        disk.Device.ReadConfiguration(0x20, 1).Should().Be(0);
        disk.Device.Reset();
        disk.Device.ReadConfiguration(0x20, 1).Should().Be(1);
        disk.Device.WriteConfiguration(0x20, 1, 0);
        disk.Device.ReadConfiguration(0x20, 1).Should().Be(1);
    }
}
