using System;
using System.Diagnostics;
using System.IO;
using System.IO.Pipes;
using System.Linq;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;
using static Vmm.Tests.Virtio.Devices.BlockRequests;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>A queue with a path of its own to its back-end: what begins together, ends in any order, and is left behind.</summary>
[Trait("Behaviour", "IO-1")]
public sealed class BlockRingTests
{
    private const ulong FarRam = 1UL << 32;
    private const int FarLength = 1 << 20;

    // The limit of a stop is 100 ms; the machine may be busy.
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    [RingFact]
    [Trait("Behaviour", "IO-4")]
    public void What_is_cached_and_asked_for_together_is_answered_at_once_with_one_interrupt_for_eight()
    {
        byte[] content = Pattern(64 * 512, 1);
        using var file = new TemporaryFile(content);
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        using var kick = new EventFd();
        using var device = new BlockDevice(RawFileBackend.Open(file.Path, readOnly: true));
        using var host = new VirtioDeviceRig(device, ram, ownsRam: false);
        device.OnFeaturesNegotiated(device.OfferedFeatures);
        device.Start(0, host);
        var driver = new SplitRingDriver(ram, 256, 0);
        BareRing.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        var handler = new BlockRequestHandler(device, queue!);
        handler.Bind(new QueueBinding(kick, host, new DetachedRequests(1, static () => { }), TimeSpan.Zero, static _ => { }, static (_, _) => { }));
        using var worker = new Worker("never runs");
        handler.Start(worker);
        ulong room = ram.Allocate(64 * 512);
        ulong status = ram.Allocate(1);
        for (uint k = 0; k < 64; k++)
        {
            driver.Add(Readable(ram.Place(Header(In, k)), 16), Writable(room + (512 * k), 512), Writable(status, 1));
        }

        driver.Publish();
        handler.Run();

        for (int k = 0; k < 64; k++)
        {
            driver.TryTakeUsed(out _, out uint length).Should().BeTrue("nothing was waited for");
            length.Should().Be(513);
        }

        ram.Read(room, content.Length).Should().Equal(content);
        interrupt.Count.Should().BeInRange(1, 8);
        handler.Stop();
    }

    [RingFact]
    [Trait("Behaviour", "IO-2")]
    public void A_request_that_does_not_end_holds_up_none_that_come_after_it()
    {
        using var pipe = new Pipe();
        using VirtioDeviceRig disk = pipe.Open();
        ulong room = disk.Ram.Allocate(512);
        disk.Drivers[0].Add(Readable(disk.Ram.Place(Header(In, 0)), 16), Writable(room, 512), Writable(disk.Ram.Allocate(1), 1));
        disk.Kick();

        Request(disk, Flush, 0, [], 0).Status.Should().Be(IoError, "a pipe has nothing to flush");
        Request(disk, GetId, 0, [], 20).Status.Should().Be(Ok);
        disk.Drivers[0].HasUsed.Should().BeFalse();

        pipe.Write(Pattern(512, 3));
        disk.WaitUsed().Length.Should().Be(513);
        disk.Ram.Read(room, 512).Should().Equal(Pattern(512, 3));
    }

    [RingFact]
    public void What_comes_in_pieces_is_put_together()
    {
        using var pipe = new Pipe();
        using VirtioDeviceRig disk = pipe.Open();
        ulong room = disk.Ram.Allocate(2048);
        byte[] content = Pattern(2048, 4);
        disk.Drivers[0].Add(
            Readable(disk.Ram.Place(Header(In, 0)), 16), Writable(room, 700), Writable(room + 700, 1348), Writable(disk.Ram.Allocate(1), 1));
        disk.Kick();
        foreach (int length in new[] { 1, 698, 1, 2, 346, 1000 })
        {
            pipe.Write(content[pipe.Written..(pipe.Written + length)]);
            Eventually.Holds(() => pipe.IsEmpty, "the kernel takes what there is");
            (disk.Drivers[0].HasUsed && pipe.Written < content.Length).Should().BeFalse("it is not all there");
        }

        disk.WaitUsed().Length.Should().Be(2049);
        disk.Ram.Read(room, 2048).Should().Equal(content);
    }

    [RingFact]
    [Trait("Behaviour", "CON-2")]
    [Trait("Behaviour", "CON-3")]
    public void A_reset_leaves_a_request_that_does_not_end_and_has_it_cancelled()
    {
        using var pipe = new Pipe();
        using var ram = new GuestRam((0, 64 << 20), (FarRam, FarLength));
        ram.Memory.PinLimit = TimeSpan.FromMilliseconds(20);
        using VirtioDeviceRig disk = pipe.Open(ram);
        GuestMemoryRegion far = ram.Region(FarRam);
        disk.Drivers[0].Add(Readable(ram.Place(Header(In, 0)), 16), Writable(FarRam, 512), Writable(ram.Allocate(1), 1));
        disk.Kick();
        Eventually.Holds(() => far.PinCount == 1, "the read is under way");
        ram.Memory.Invoking(memory => memory.Remove(far)).Should().Throw<PinnedMemoryException>("it is read into");

        var watch = Stopwatch.StartNew();
        disk.Device.Reset();
        watch.Elapsed.Should().BeLessThan(Soon);

        Eventually.Holds(() => far.PinCount == 0, "the kernel gives the read up");
        disk.Drivers[0].HasUsed.Should().BeFalse("nobody hears of it");
        ram.RemoveRegion(far);
        pipe.Write(new byte[512]);
        pipe.IsEmpty.Should().BeFalse("nobody reads it any more");
        disk.ResetReasons.Should().BeEmpty();
    }

    [RingFact]
    [Trait("Behaviour", "CON-3")]
    public void A_disk_is_disposed_while_the_kernel_has_its_requests()
    {
        using var pipe = new Pipe();
        VirtioDeviceRig disk = pipe.Open();
        for (int k = 0; k < 64; k++)
        {
            disk.Drivers[0].Add(
                Readable(disk.Ram.Place(Header(In, 0)), 16), Writable(disk.Ram.Allocate(512), 512), Writable(disk.Ram.Allocate(1), 1));
        }

        disk.Kick();
        Eventually.Holds(() => disk.Ram.Region(0).PinCount == 64, "the reads are under way");

        var watch = Stopwatch.StartNew();
        disk.Device.Dispose();
        watch.Elapsed.Should().BeLessThan(Soon);
        Eventually.Holds(() => disk.Ram.Region(0).PinCount == 0 && pipe.IsReaderClosed, "the last read has ended, and the file is closed");
        disk.Dispose();
    }

    [Fact]
    [Trait("Behaviour", "CON-2")]
    [Trait("Behaviour", "CON-3")]
    public void What_a_worker_has_to_fetch_is_fetched_when_its_device_has_gone()
    {
        var backend = new HeldBlockBackend(hasQueues: true);
        var device = new BlockDevice(backend, new BlockDeviceOptions { StopLimit = TimeSpan.FromMilliseconds(10) });
        VirtioDeviceRig disk = new VirtioDeviceRig(device).Start();
        for (int k = 0; k < 3; k++)
        {
            disk.Drivers[0].Add(
                Readable(disk.Ram.Place(Header(In, 0)), 16), Writable(disk.Ram.Allocate(512), 512), Writable(disk.Ram.Allocate(1), 1));
        }

        disk.Kick();
        backend.WaitArrived(3);
        device.Dispose();
        disk.Ram.Region(0).PinCount.Should().Be(3);
        backend.OpenQueues.Should().Be(1, "it is not closed under its requests");
        backend.IsDisposed.Should().BeFalse();

        while (backend.Held.TryDequeue(out BlockRequest? request))
        {
            backend.End(request, BlockStatus.Ok);
        }

        Eventually.Holds(() => backend.IsDisposed && backend.OpenQueues == 0, "the worker has fetched them");
        disk.Ram.Region(0).PinCount.Should().Be(0);
        disk.Drivers[0].HasUsed.Should().BeFalse();
        disk.Dispose();
    }

    [Fact]
    [Trait("Behaviour", "CON-3")]
    public void The_next_life_of_a_queue_waits_for_what_the_former_has_left_to_the_worker()
    {
        var backend = new HeldBlockBackend(hasQueues: true);
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend)).Start();
        ulong room = disk.Ram.Allocate(512);
        disk.Drivers[0].Add(Readable(disk.Ram.Place(Header(In, 0)), 16), Writable(room, 512), Writable(disk.Ram.Allocate(1), 1));
        disk.Kick();
        backend.WaitArrived(1);
        backend.Held.TryDequeue(out BlockRequest? former).Should().BeTrue();

        disk.Device.Reset();
        disk.Drivers.Clear();
        disk.Start();
        disk.Drivers[0].Add(Readable(disk.Ram.Place(Header(In, 0)), 16), Writable(room, 512), Writable(disk.Ram.Allocate(1), 1));
        disk.Kick();
        backend.OpenQueues.Should().Be(2);
        backend.Held.Should().BeEmpty("a late write must not overtake a new one");

        backend.End(former!, BlockStatus.Ok);
        backend.WaitArrived(1);
        backend.Held.TryDequeue(out BlockRequest? next).Should().BeTrue();
        backend.End(next!, BlockStatus.Ok);
        disk.WaitUsed().Length.Should().Be(513);
        Eventually.Holds(() => backend.OpenQueues == 1, "the former path is closed");
    }

    [Fact]
    public void A_thousand_resets_leave_no_descriptor_open()
    {
        using var file = new TemporaryFile(1 << 20);
        using VirtioDeviceRig disk = Open(file);
        ulong mark = disk.Ram.Mark;
        int before = CountRings();
        for (int k = 0; k < 1000; k++)
        {
            Request(disk, In, 0, [], 512).Status.Should().Be(Ok);
            disk.Device.PrepareStop(0);
            disk.Device.StopQueue(0);
            disk.Ram.Rewind(mark);
            disk.Drivers[0] = RingDriver.Create(RingForm.Split, disk.Ram, 256, disk.Features, 0);
            disk.StartQueue(0, null);
        }

        // Other tests run beside this one, with some of their own.
        Eventually.Holds(() => CountRings() < before + 100, "rings go with their queues");
    }

    private static int CountRings()
    {
        return Directory.GetFiles("/proc/self/fd")
            .Count(static entry => new FileInfo(entry).LinkTarget?.Contains("io_uring", StringComparison.Ordinal) == true);
    }

    /// <summary>A disk that is the end of a pipe: a read of it waits until the test writes, and the kernel can be asked to give it up.</summary>
    private sealed class Pipe : IDisposable
    {
        private readonly AnonymousPipeServerStream _writer = new(PipeDirection.Out);

        public int Written { get; private set; }

        public bool IsEmpty => !DescriptorIo.IsReadable((int)_writer.ClientSafePipeHandle.DangerousGetHandle());

        /// <summary>True once nobody but the test could read it.</summary>
        public bool IsReaderClosed
        {
            get
            {
                _writer.DisposeLocalCopyOfClientHandle();
                try
                {
                    _writer.Write([0]);
                    return false;
                }
                catch (IOException)
                {
                    return true;
                }
            }
        }

        public VirtioDeviceRig Open(GuestRam? ram = null)
        {
            string path = $"/proc/self/fd/{_writer.ClientSafePipeHandle.DangerousGetHandle()}";
            DescriptorIo.Open(path, Libc.O_RDONLY, out FileDescriptor reader).Should().Be(0);
            var backend = RawFileBackend.Over(reader, 1 << 20);
            return new VirtioDeviceRig(new BlockDevice(backend), ram, ownsRam: ram is null).Start();
        }

        public void Write(byte[] bytes)
        {
            _writer.Write(bytes);
            Written += bytes.Length;
        }

        public void Dispose() => _writer.Dispose();
    }
}
