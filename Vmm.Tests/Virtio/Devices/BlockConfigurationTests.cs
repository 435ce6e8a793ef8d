using System;
using Vmm.Tests.Fakes;
using Vmm.Tests.Virtio.Transport;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
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

    [Theory]
    [InlineData(512, 3, 8)]
    [InlineData(1024, 2, 4)]
    [InlineData(4096, 0, 1)]
    public void The_driver_is_told_what_blocks_the_back_end_wants(int size, ulong exponent, ulong minimum)
    {
        using var device = new BlockDevice(new BlocksBackend(size));
        device.ReadConfiguration(0x14, 4).Should().Be((ulong)size, "blk_size");
        device.ReadConfiguration(0x18, 1).Should().Be(exponent, "physical_block_exp counts from blk_size");
        device.ReadConfiguration(0x1a, 2).Should().Be(minimum, "min_io_size is in blocks");
        device.ReadConfiguration(0, 8).Should().Be(2048, "capacity is in sectors of 512");
    }

    [Theory]
    [InlineData(256)]
    [InlineData(768)]
    [InlineData(8192)]
    public void Blocks_that_no_driver_can_be_told_of_are_refused(int size)
    {
        Action create = () => new BlockDevice(new BlocksBackend(size)).Dispose();
        create.Should().Throw<ArgumentException>().WithMessage($"*{size}*");
    }

    [Fact]
    public void The_write_cache_is_switched_only_when_that_was_negotiated()
    {
        using var file = new TemporaryFile(1 << 20);
        using VirtioDeviceRig disk = Open(file);
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

    [Theory]
    [InlineData(1ul << 11, 0)]
    [InlineData((1ul << 11) | (1ul << 9), 1)]
    public void The_write_cache_begins_switched_off_for_a_driver_that_cannot_flush(ulong features, ulong expected)
    {
        using var file = new TemporaryFile(1 << 20);
        using VirtioDeviceRig disk = Open(file, features: features);
        disk.Device.ReadConfiguration(0x20, 1).Should().Be(expected, "5.2.5.2");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void The_write_cache_can_be_switched_between_FEATURES_OK_and_DRIVER_OK(byte value)
    {
        using var file = new TemporaryFile(1 << 20);
        using var rig = new TransportRig();
        rig.AddFunction(new BlockDevice(RawFileBackend.Open(file.Path, false)), slot: 2);
        var driver = new TestDriver(rig.Memory, TransportRig.EcamBase + (2 << 15));
        driver.Place(0xe100_0000);
        ulong initial = 1UL - value;
        driver.Negotiate(TestDriver.Version1 | (1UL << 11) | (initial << 9)).Should().BeTrue();
        rig.Memory.Read(driver.Config + 0x20, 1).Should().Be(initial);
        rig.Memory.Write(driver.Config + 0x20, 1, value);
        rig.Memory.Read(driver.Config + 0x20, 1).Should().Be(value, "the driver configures the device before DRIVER_OK (3.1.1)");
        driver.Status = 0xf;
        rig.Memory.Read(driver.Config + 0x20, 1).Should().Be(value);
    }

    private sealed class BlocksBackend(int size) : IBlockBackend
    {
        public long Length => 1 << 20;

        public bool IsReadOnly => true;

        public int BlockSize => size;

        public void Submit(BlockRequest request) => request.Complete(BlockStatus.Ok);

        public void Dispose()
        {
        }
    }
}
