using System;
using System.Linq;
using Vmm.Pci.Access;
using Vmm.Virtio.Devices;
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
            driver.Driver.Queues.Should().OnlyContain(
                queue => (queue.Vector != null) == (used == CompletionMode.Messages) && queue.Vector < vectors == (queue.Vector != null));
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

    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [InlineData(false, CompletionMode.Messages)]
    [InlineData(true, CompletionMode.Messages)]
    [InlineData(true, CompletionMode.Polling)]
    public void Many_requests_are_outstanding_at_once(bool packed, CompletionMode completion)
    {
        using var disk = new DriverDisk(new VirtioPciOptions { PackedRing = true });
        byte[] content = disk.File.Content;
        var options = new VirtioDriverOptions { Completion = completion, RequiredFeatures = QueueRig.FeaturesOf(packed, true, true) };
        using var driver = VirtioBlockDriver.Open(disk, options);
        BlockRequestQueue queue = driver.Queues[0];
        IDmaBuffer memory = driver.Driver.MapBuffer(512 * 512);
        ulong[] sectorOf = new ulong[256];
        int most = 0;
        for (int sector = 0, done = 0; done < 512;)
        {
            while (sector < 512
                && queue.TrySubmit(
                    BlockRequestType.Read, (ulong)sector,
                    [new DriverSegment(memory.Iova + ((ulong)sector * 512), 512, true)]) is { } request)
            {
                sectorOf[request] = (ulong)sector++;
            }

            most = Math.Max(most, queue.Outstanding);
            queue.Notify();
            int finished = queue.WaitComplete(out BlockStatus status);
            do
            {
                status.Should().Be(BlockStatus.Ok);
                int at = (int)sectorOf[finished] * 512;
                memory.Span.Slice(at, 512).SequenceEqual(content.AsSpan(at, 512)).Should().BeTrue($"of sector {sectorOf[finished]}");
                done++;
            }
            while (queue.TryComplete(out finished, out status));
        }

        most.Should().BeGreaterThan(100);
        queue.Outstanding.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "DRV-1")]
    public void A_disk_tells_its_name_and_takes_discards_and_zeroes()
    {
        using var disk = new DriverDisk(device: new BlockDeviceOptions { Serial = "VMM-1234" });
        using var driver = VirtioBlockDriver.Open(disk);
        driver.GetId().Should().Be("VMM-1234");
        byte[] content = disk.File.Content;
        driver.WriteZeroes(10, 6, mayUnmap: true);
        driver.WriteZeroes(20, 1);
        driver.Discard(500, 12);
        driver.Flush();
        content.AsSpan(10 * 512, 6 * 512).Clear();
        content.AsSpan(20 * 512, 512).Clear();
        disk.File.Content.AsSpan(0, 500 * 512).SequenceEqual(content.AsSpan(0, 500 * 512)).Should().BeTrue();
        driver.Invoking(d => d.Discard(500, 13)).Should().Throw<DriverException>();
        driver.Dispose();
        using var plain = VirtioBlockDriver.Open(disk, new VirtioDriverOptions { RefusedFeatures = (1UL << 13) | (1UL << 14) | (1UL << 9) });
        plain.Invoking(d => d.Discard(1, 1)).Should().Throw<NotSupportedException>();
        plain.Invoking(d => d.WriteZeroes(1, 1)).Should().Throw<NotSupportedException>();
        plain.Flush();
        plain.GetId().Should().Be("VMM-1234");
    }
}
