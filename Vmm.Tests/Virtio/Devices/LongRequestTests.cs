using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.IO.Pipes;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using static Vmm.Testing.Rings.GuestBuffer;
using static Vmm.Tests.Virtio.Devices.BlockRequests;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>A request that takes long is done in parts: neither a stop nor RAM that is removed waits for the whole of it (VTP-7, MEM-4).</summary>
public sealed class LongRequestTests
{
    private const int Mebibyte = 1 << 20;
    private const int Output = 1;

    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(Mebibyte)]
    [InlineData(Mebibyte + 512)]
    [InlineData((3 * Mebibyte) + 1024)]
    public void A_request_in_parts_moves_every_byte(int length)
    {
        byte[] content = Pattern(length + 4096, 11);
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig disk = Open(file);

        (byte status, byte[] read, uint used) = Request(disk, In, 2, [], length);
        status.Should().Be(Ok);
        used.Should().Be((uint)length + 1);
        read.Should().Equal(content.AsSpan(1024, length).ToArray());

        byte[] data = Pattern(length, 12);
        Request(disk, Out, 3, data, 0).Status.Should().Be(Ok);
        data.CopyTo(content, 3 * 512);
        file.Content.Should().Equal(content);
    }

    [Fact]
    public void Ranges_in_parts_are_changed_to_their_ends()
    {
        byte[] content = Pattern(40 * Mebibyte, 13);
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig disk = Open(file);
        const uint Sectors = (17 * Mebibyte) / 512;

        byte[] ranges = [.. Range(1, Sectors, 0), .. Range(5, 0, 0), .. Range(Sectors + 10, Sectors, 0)];
        Request(disk, WriteZeroes, 0, ranges, 0).Status.Should().Be(Ok);

        content.AsSpan(512, 17 * Mebibyte).Clear();
        content.AsSpan((int)(Sectors + 10) * 512, 17 * Mebibyte).Clear();
        file.Content.AsSpan().SequenceEqual(content).Should().BeTrue();
    }

    [Theory]
    [InlineData(In, 1 << 20)]
    [InlineData(Out, 1 << 20)]
    [InlineData(WriteZeroes, 16 << 20)]
    [InlineData(Discard, 64 << 20)]
    public void No_call_of_the_back_end_is_longer_than_a_part(uint type, int part)
    {
        var backend = new GatedBlockBackend(static () => { });
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend)).Start();
        byte[] data = type switch
        {
            In => [],
            Out => new byte[(2 * Mebibyte) + 512],
            _ => Range(0, (200 * Mebibyte) / 512, 0),
        };

        Request(disk, type, 0, data, type == In ? (2 * Mebibyte) + 512 : 0).Status.Should().Be(Ok);

        backend.Longest.Should().Be(part);
    }

    [Fact]
    [Trait("Behaviour", "VTP-7")]
    public async Task A_stop_waits_for_the_part_in_hand_and_no_other_is_begun()
    {
        using var gate = new ManualResetEventSlim();
        var backend = new GatedBlockBackend(() => gate.Wait(Long));
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend)).Start();
        Post(disk, WriteZeroes, [.. Enumerable.Range(0, 32).SelectMany(_ => Range(0, 1 << 22, 0))], []);
        backend.Entered.Wait(Long).Should().BeTrue();

        disk.Device.PrepareStop(0);
        Task stop = Task.Run(() => disk.Device.StopQueue(0));
        gate.Set();
        await stop.WaitAsync(Long);

        backend.Calls.Should().Be(1, "64 GiB of zeroes are 4096 parts, of which the stop waits for one");
        disk.Drivers[0].HasUsed.Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "VTP-7")]
    public async Task A_stop_waits_for_one_of_the_requests_that_were_posted()
    {
        using var gate = new ManualResetEventSlim();
        var backend = new GatedBlockBackend(() => gate.Wait(Long));
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend)).Start();
        for (int i = 0; i < 30; i++)
        {
            Add(disk, Out, new byte[512], []);
        }

        disk.Kick();
        backend.Entered.Wait(Long).Should().BeTrue();

        disk.Device.PrepareStop(0);
        Task stop = Task.Run(() => disk.Device.StopQueue(0));
        gate.Set();
        await stop.WaitAsync(Long);

        backend.Calls.Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "MEM-4")]
    public void RAM_is_removed_while_a_long_request_goes_on()
    {
        // The request never ends: 4 GiB of zeroes are cleared in RAM that is named 127 times, again and again.
        using var ram = new GuestRam((0, 64 << 20), (1UL << 32, 1 << 20));
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(new GatedBlockBackend(static () => { })), ram).Start();
        ulong room = ram.Allocate(32 << 20, 4096);
        GuestBuffer[] pieces = [.. Enumerable.Repeat(Writable(room, 32 << 20), 120)];
        for (int i = 0; i < 20; i++)
        {
            Add(disk, 77, [], pieces);
        }

        disk.Kick();
        disk.WaitUsed();
        var removal = Stopwatch.StartNew();
        ram.RemoveRegion(ram.Region(1UL << 32));
        removal.Stop();
        var driver = (SplitRingDriver)disk.Drivers[0];
        int usedThen = driver.UsedIndex;
        disk.Device.PrepareStop(0);
        int usedAtStop = driver.UsedIndex;
        disk.Device.StopQueue(0);

        usedThen.Should().BeLessThan(20, $"the removal, which took {removal.ElapsedMilliseconds} ms, did not wait for the ring to be empty");
        driver.UsedIndex.Should().BeLessThanOrEqualTo((ushort)(usedAtStop + 1), "a stop waits for a part");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(1024)]
    public void A_console_with_a_reader_that_is_stuck_can_be_stopped_at_once(int pieces)
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        var backend = new DescriptorConsoleBackend(-1, (int)pipe.ClientSafePipeHandle.DangerousGetHandle());
        using VirtioDeviceRig console = new VirtioDeviceRig(new ConsoleDevice(backend)).Start();
        ulong place = console.Ram.Allocate(1 << 16);
        console.Drivers[Output].AddIndirect(
            [.. Enumerable.Repeat(Readable(place, 1 << 16), 2), .. Enumerable.Repeat(Readable(place, 1), pieces - 2)]);
        console.Kick(Output);
        Eventually.Holds(() => !console.Drivers[Output].HasUsed && PipeIsFull(backend), "the first 64 KiB fill the pipe");

        console.Device.StopQueue(Output);

        // The patience with the reader is half a second; whoever waits for its end finds the chain used.
        console.Drivers[Output].HasUsed.Should().BeFalse("the stop came while the device waited for the reader");
    }

    [Fact]
    public void The_patience_with_a_stuck_reader_is_one_for_all_pieces_and_chains()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        var device = new ConsoleDevice(new DescriptorConsoleBackend(-1, (int)pipe.ClientSafePipeHandle.DangerousGetHandle()));
        using VirtioDeviceRig console = new VirtioDeviceRig(device).Start();
        ulong place = console.Ram.Allocate(1 << 16);
        var watch = Stopwatch.StartNew();
        console.Drivers[Output].Add(Readable(place, 1 << 16));
        for (int i = 0; i < 3; i++)
        {
            console.Drivers[Output].AddIndirect([.. Enumerable.Repeat(Readable(place, 1), 40)]);
        }

        console.Kick(Output);
        for (int i = 0; i < 4; i++)
        {
            console.WaitUsed(Output);
        }

        // 500 ms a piece would be a minute.
        watch.Elapsed.Should().BeLessThan(TimeSpan.FromSeconds(15));
        device.DroppedBytes.Should().Be(3 * 40);

        pipe.ReadExactly(new byte[1 << 16]);
        console.Drivers[Output].Add(Readable(place, 100));
        console.Kick(Output);
        console.WaitUsed(Output);
        pipe.ReadExactly(new byte[100]);
        device.DroppedBytes.Should().Be(3 * 40, "a reader that reads again is heard again");
    }

    [Fact]
    public async Task Zeroes_that_are_written_one_by_one_can_be_stopped()
    {
        // tmpfs knows no FALLOC_FL_ZERO_RANGE.
        string path = $"/dev/shm/vmmdevices-test-{Guid.NewGuid():n}";
        using (FileStream made = File.Create(path))
        {
            made.SetLength(64L << 30);
        }

        try
        {
            using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(RawFileBackend.Open(path, readOnly: false))).Start();
            Post(disk, WriteZeroes, [.. Enumerable.Range(0, 32).SelectMany(i => Range((ulong)i << 22, 1 << 22, 0))], []);
            Eventually.Holds(() => new FileInfo(path).Exists && TemporaryFile.Allocated(path) > 0, "the device has begun");

            await Task.Run(() => disk.Device.StopQueue(0)).WaitAsync(Long);

            disk.Drivers[0].HasUsed.Should().BeFalse();
            TemporaryFile.Allocated(path).Should().BeLessThan(8L << 30, "64 GiB were asked for");
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    [Trait("Behaviour", "CON-8")]
    [Trait("Behaviour", "VTP-16")]
    public void An_exception_of_the_back_end_keeps_its_stack()
    {
        var backend = new GatedBlockBackend(static () => throw new InvalidOperationException("a mistake in the back-end"));
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend)).Start();
        Post(disk, In, [], [Writable(disk.Ram.Allocate(512), 512)]);

        disk.WaitNeedsReset().Should().Contain("a mistake in the back-end");
        disk.DeviceFailures.Should().ContainSingle().Which.StackTrace.Should().Contain(nameof(GatedBlockBackend));
    }

    private static bool PipeIsFull(DescriptorConsoleBackend backend)
    {
        return !Vmm.DeviceModel.Interop.DescriptorIo.WaitWritable(backend.OutputDescriptor, 0);
    }

    private static void Post(VirtioDeviceRig disk, uint type, byte[] data, GuestBuffer[] room)
    {
        Add(disk, type, data, room);
        disk.Kick();
    }

    private static void Add(VirtioDeviceRig disk, uint type, byte[] data, GuestBuffer[] room)
    {
        List<GuestBuffer> buffers = [Readable(disk.Ram.Place(Header(type, 0)), 16)];
        if (data.Length != 0)
        {
            buffers.Add(Readable(disk.Ram.Place(data), (uint)data.Length));
        }

        buffers.AddRange(room);
        buffers.Add(Writable(disk.Ram.Allocate(1), 1));
        disk.Drivers[0].AddIndirect([.. buffers]);
    }
}
