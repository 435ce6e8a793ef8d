using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;
using static Vmm.Tests.Virtio.Devices.BlockRequests;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>The block device over real files, as a driver sees it (virtio 1.2, 5.2).</summary>
public sealed class BlockDeviceTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_is_written_is_in_the_file_and_is_read_again(bool suppressing)
    {
        byte[] content = Pattern(64 * 512, 1);
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig disk = Open(file, new BlockDeviceOptions { EventIndex = suppressing, IndirectDescriptors = suppressing });

        (byte status, byte[] read, uint length) = Request(disk, In, 3, [], 4096);
        status.Should().Be(Ok);
        length.Should().Be(4097);
        read.Should().Equal(content.AsSpan(3 * 512, 4096).ToArray());

        byte[] data = Pattern(8192, 77);
        Request(disk, Out, 10, data, 0).Should().BeEquivalentTo((Ok, Array.Empty<byte>(), 1u));
        Request(disk, Flush, 0, [], 0).Status.Should().Be(Ok);
        data.CopyTo(content, 10 * 512);
        file.Content.Should().Equal(content);
        Request(disk, In, 10, [], 8192).Data.Should().Equal(data);
    }

    [Fact]
    public void Framing_means_nothing()
    {
        // 2.7.4.1: the header, the data and the status may be cut in any way, and share descriptors.
        byte[] content = Pattern(64 * 512, 2);
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig disk = Open(file);
        var random = new Random(7);
        for (int round = 0; round < 200; round++)
        {
            bool write = random.Next(2) == 0;
            ulong sector = (ulong)random.Next(60);
            byte[] data = Pattern(512 * random.Next(1, 4), round);
            ulong readable = disk.Ram.Place([.. Header(write ? Out : In, sector), .. write ? data : []]);
            ulong writable = disk.Ram.Allocate((ulong)(write ? 1 : data.Length + 1));
            List<GuestBuffer> buffers = Cut(random, readable, 16 + (write ? data.Length : 0), false);
            buffers.AddRange(Cut(random, writable, write ? 1 : data.Length + 1, true));
            if (random.Next(2) == 0)
            {
                disk.Drivers[0].AddIndirect([.. buffers]);
            }
            else
            {
                disk.Drivers[0].Add([.. buffers]);
            }

            disk.Kick();
            disk.WaitUsed().Length.Should().Be((uint)(write ? 1 : data.Length + 1));
            if (write)
            {
                data.CopyTo(content, (int)sector * 512);
                disk.Ram.Read<byte>(writable).Should().Be(Ok);
                file.Content.Should().Equal(content);
            }
            else
            {
                disk.Ram.Read(writable, data.Length + 1).Should().Equal([.. content.AsSpan((int)sector * 512, data.Length), Ok]);
            }
        }
    }

    [Theory]
    [InlineData(In, 64, 512)]
    [InlineData(In, 63, 1024)]
    [InlineData(In, 0x7fffffffffffff, 512)]
    [InlineData(In, 0xffffffffffffffff, 512)]
    [InlineData(In, 0x80000000000000, 512)]
    [InlineData(In, 0, 511)]
    [InlineData(In, 0, 513)]
    [InlineData(Out, 64, 512)]
    [InlineData(Out, 63, 1024)]
    [InlineData(Out, 0xffffffffffffffff, 1024)]
    [InlineData(Out, 0, 100)]
    public void Ranges_outside_the_disk_and_broken_sectors_are_errors_and_change_nothing(uint type, ulong sector, int length)
    {
        byte[] content = Pattern(64 * 512, 3);
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig disk = Open(file);
        byte[] data = type == Out ? Pattern(length, 9) : [];
        (byte status, byte[] read, uint used) = Request(disk, type, sector, data, type == In ? length : 0);
        status.Should().Be(IoError);
        used.Should().Be((uint)read.Length + 1);
        read.Should().Equal(new byte[read.Length], "nothing of the host comes along with an error");
        file.Content.Should().Equal(content);
        Request(disk, In, 0, [], 512).Status.Should().Be(Ok, "the device goes on");
    }

    [Fact]
    public void A_read_of_nothing_at_the_end_is_fine()
    {
        using var file = new TemporaryFile(64 * 512);
        using VirtioDeviceRig disk = Open(file);
        Request(disk, In, 64, [], 0).Status.Should().Be(Ok);
        Request(disk, In, 65, [], 0).Status.Should().Be(IoError);
    }

    [Fact]
    public void The_serial_is_20_bytes()
    {
        using var file = new TemporaryFile(512);
        using VirtioDeviceRig disk = Open(file, new BlockDeviceOptions { Serial = "abc" });
        (byte status, byte[] data, _) = Request(disk, GetId, 0, [], 20);
        status.Should().Be(Ok);
        data.Should().Equal([.. "abc"u8, .. new byte[17]]);
        Request(disk, GetId, 0, [], 19).Status.Should().Be(IoError);
        (status, data, _) = Request(disk, GetId, 0, [], 24);
        status.Should().Be(Ok);
        data.Should().Equal([.. "abc"u8, .. new byte[21]]);

        using var other = new TemporaryFile(512);
        using VirtioDeviceRig longer = Open(other, new BlockDeviceOptions { Serial = "0123456789ABCDEFGHIJKLMN" });
        Encoding.ASCII.GetString(Request(longer, GetId, 0, [], 20).Data).Should().Be("0123456789ABCDEFGHIJ");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(5)]
    [InlineData(14)]
    [InlineData(0x80000001)]
    [InlineData(0xffffffff)]
    public void An_unknown_type_is_unsupported(uint type)
    {
        using var file = new TemporaryFile(512);
        using VirtioDeviceRig disk = Open(file);
        Request(disk, type, 0, [], 0).Status.Should().Be(Unsupported);
    }

    [Fact]
    public void A_read_only_disk_refuses_every_change()
    {
        byte[] content = Pattern(64 * 512, 8);
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig disk = Open(file, readOnly: true);
        (disk.Features & (1UL << 5)).Should().NotBe(0, "RO is offered");
        (disk.Features & (3UL << 13)).Should().Be(0, "DISCARD and WRITE_ZEROES are not");
        Request(disk, Out, 0, new byte[512], 0).Status.Should().Be(IoError);
        Request(disk, WriteZeroes, 0, Range(0, 1, 0), 0).Status.Should().Be(IoError);
        Request(disk, Discard, 0, Range(0, 1, 0), 0).Status.Should().Be(IoError);
        Request(disk, In, 0, [], 512).Data.Should().Equal(content.AsSpan(0, 512).ToArray());
        Request(disk, Flush, 0, [], 0).Status.Should().Be(Ok);
        file.Content.Should().Equal(content);
    }

    [Fact]
    [Trait("Behaviour", "VQ-3")]
    public void A_short_header_is_an_error_and_a_missing_status_byte_a_broken_ring()
    {
        using var file = new TemporaryFile(512);
        using VirtioDeviceRig disk = Open(file);
        ulong place = disk.Ram.Allocate(32);
        disk.Drivers[0].Add(Readable(place, 15), Writable(place + 16, 1));
        disk.Kick();
        disk.WaitUsed().Length.Should().Be(1);
        disk.Ram.Read<byte>(place + 16).Should().Be(IoError);
        disk.Drivers[0].Add(Readable(place, 16));
        disk.Kick();
        disk.WaitNeedsReset().Should().Contain("status");
    }

    [Fact]
    [Trait("Behaviour", "VTP-16")]
    public void A_broken_ring_needs_a_reset_and_the_device_stays_stoppable_and_works_afterwards()
    {
        byte[] content = Pattern(8 * 512, 4);
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig disk = Open(file);
        var driver = (SplitRingDriver)disk.Drivers[0];
        driver.SetDescriptor(0, 0, 1, SplitRingDriver.Next, 0);
        driver.AddHead(0);
        disk.Kick();
        disk.WaitNeedsReset().Should().Contain("loops");
        for (int i = 0; i < 100; i++)
        {
            disk.Kick();
        }

        disk.Device.StopQueue(0);
        disk.Device.StopQueue(0);
        disk.Device.Reset();
        disk.ResetReasons.Should().HaveCount(1);
        disk.Drivers.Clear();
        disk.Vectors.Clear();
        disk.Start();
        Request(disk, In, 0, [], 512).Data.Should().Equal(content.AsSpan(0, 512).ToArray());
    }

    [Fact]
    [Trait("Behaviour", "VTP-14")]
    [Trait("Behaviour", "VQ-6")]
    public void A_queue_that_is_stopped_and_started_again_loses_and_repeats_nothing()
    {
        using var file = new TemporaryFile(64 * 512);
        using VirtioDeviceRig disk = Open(file, new BlockDeviceOptions { QueueSize = 64 });
        var driver = (SplitRingDriver)disk.Drivers[0];
        ulong header = disk.Ram.Place(Header(In, 0));
        ulong data = disk.Ram.Allocate(8192);
        int completed = 0;
        for (int round = 0; round < 200; round++)
        {
            int added = 0;
            while (driver.FreeDescriptors >= 3)
            {
                driver.Add(Readable(header, 16), Writable(data, 4096), Writable(data + 4096, 1));
                added++;
            }

            disk.Kick();
            VirtqueueState state = disk.Device.StopQueue(0)!;
            state.AvailableIndex.Should().Be(state.UsedIndex, "what was taken is done");
            ushort used = driver.UsedIndex;
            used.Should().Be(state.UsedIndex);
            disk.StartQueue(0, state);
            while (added-- > 0)
            {
                disk.WaitUsed().Length.Should().Be(4097);
                completed++;
            }

            driver.HasUsed.Should().BeFalse();
        }

        completed.Should().Be(200 * 21);
    }

    [Fact]
    public void Several_queues_work_at_once()
    {
        byte[] content = Pattern(1024 * 512, 11);
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig disk = Open(file, new BlockDeviceOptions { QueueCount = 4, QueueSize = 16 });
        disk.Device.QueueSizes.Should().Equal(16, 16, 16, 16);
        (disk.Features & (1UL << 12)).Should().NotBe(0);
        disk.Device.ReadConfiguration(0x22, 2).Should().Be(4);
        for (int round = 0; round < 50; round++)
        {
            ulong[] places = new ulong[4];
            for (int q = 0; q < 4; q++)
            {
                ulong header = disk.Ram.Place(Header(In, (ulong)((round * 4) + q)));
                places[q] = disk.Ram.Allocate(513);
                disk.Drivers[q].Add(Readable(header, 16), Writable(places[q], 513));
                disk.Kick(q);
            }

            for (int q = 0; q < 4; q++)
            {
                disk.WaitUsed(q).Length.Should().Be(513);
                disk.Ram.Read(places[q], 513).Should().Equal([.. content.AsSpan(512 * ((round * 4) + q), 512), Ok]);
            }
        }
    }

    [Fact]
    public void A_file_that_shrinks_under_the_device_gives_errors()
    {
        using var file = new TemporaryFile(64 * 512);
        using VirtioDeviceRig disk = Open(file);
        using (var stream = new FileStream(file.Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            stream.SetLength(512);
        }

        Request(disk, In, 8, [], 512).Status.Should().Be(IoError);
        ((BlockDevice)disk.Device).Failures.Should().Be(1);
        Request(disk, In, 0, [], 512).Status.Should().Be(Ok);
    }

    private static List<GuestBuffer> Cut(Random random, ulong address, int length, bool writable)
    {
        List<GuestBuffer> buffers = [];
        int done = 0;
        while (done < length)
        {
            int part = Math.Min(length - done, random.Next(0, length < 20 ? 9 : 600));
            buffers.Add(new GuestBuffer(address + (ulong)done, (uint)part, writable));
            done += part;
        }

        return buffers;
    }
}
