using System;
using System.Linq;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Driver;

public sealed class BlockDriverTests
{
    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [Trait("Behaviour", "DRV-4")]
    [InlineData(CompletionMode.Messages, 100, CompletionMode.Messages)]
    [InlineData(CompletionMode.Messages, 2, CompletionMode.Messages)]
    [InlineData(CompletionMode.Messages, 1, CompletionMode.Messages)]
    [InlineData(CompletionMode.Messages, 0, CompletionMode.Pin)]
    [InlineData(CompletionMode.Pin, 100, CompletionMode.Pin)]
    [InlineData(CompletionMode.Polling, 100, CompletionMode.Polling)]
    public void A_disk_is_read_and_written_on_all_queues_by_every_way_of_completion(CompletionMode asked, int vectors, CompletionMode used)
    {
        using var disk = new DriverDisk(queues: 3);
        byte[] content = disk.File.Content;
        using (var driver = VirtioBlockDriver.Open(disk, new VirtioDriverOptions { Completion = asked, MaximumVectors = vectors }, 3))
        {
            driver.Driver.Completion.Should().Be(used);
            driver.Driver.Queues.Should().OnlyContain(queue => (queue.Vector != null) == (used == CompletionMode.Messages) && queue.Vector < vectors == (queue.Vector != null));
            driver.Capacity.Should().Be(512);
            byte[] data = [.. Enumerable.Range(0, 70 * 1024).Select(i => (byte)(i * 31 / 5))];
            driver.Write(100, data);
            driver.Flush();
            data.CopyTo(content, 100 * 512);
            for (int i = 0; i < 300; i++)
            {
                byte[] read = new byte[1024];
                driver.Read((ulong)i, read, i % 3);
                read.Should().Equal(content.AsSpan(i * 512, 1024).ToArray());
            }
        }

        disk.File.Content.Should().Equal(content);
        disk.Inner.Iovas.Count.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "DRV-4")]
    public void Without_messages_and_pin_the_driver_polls()
    {
        using var disk = new DriverDisk { Messages = 0, Pin = false };
        using var driver = VirtioBlockDriver.Open(disk);
        driver.Driver.Completion.Should().Be(CompletionMode.Polling);
        byte[] read = new byte[512];
        driver.Read(1, read);
        read.Should().Equal(disk.File.Content.AsSpan(512, 512).ToArray());
    }

    [Fact]
    [Trait("Behaviour", "DRV-1")]
    public void An_error_of_the_device_is_a_typed_error_and_the_disk_goes_on()
    {
        using var disk = new DriverDisk();
        using var driver = VirtioBlockDriver.Open(disk);
        byte[] sector = new byte[512];
        driver.Invoking(d => d.Read(512, sector)).Should().Throw<DriverException>().Which.Step.Should().Be("request");
        driver.Read(511, sector);
        sector.Should().Equal(disk.File.Content.AsSpan(511 * 512).ToArray());
    }

    [Theory]
    [Trait("Behaviour", "DRV-5")]
    [InlineData(false)]
    [InlineData(true)]
    public void Notification_data_carries_the_place_in_the_ring_where_it_is_negotiated(bool offered)
    {
        using var disk = new DriverDisk(new VirtioPciOptions { NotificationData = offered });
        using var driver = VirtioBlockDriver.Open(disk, new VirtioDriverOptions { WantedFeatures = TransportFeatures.NotificationData });
        ulong notify = disk.Inner.ReadConfiguration(disk.Capability(2) + 8, 4);
        disk.Writes.Clear();
        driver.Read(0, new byte[512]);
        disk.Writes.Should().Equal((notify, offered ? 4 : 2, offered ? 0x1_0000UL : 0UL));
    }
}
