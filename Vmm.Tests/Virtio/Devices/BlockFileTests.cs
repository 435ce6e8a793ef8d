using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Microsoft.Win32.SafeHandles;
using Vmm.DeviceModel.Interop;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using static Vmm.Testing.Rings.GuestBuffer;
using static Vmm.Tests.Virtio.Devices.BlockRequests;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>A file does the same whichever way requests take to it: a ring of the kernel's or threads, cached, in memory or direct.</summary>
[Trait("Behaviour", "IO-1")]
public sealed class BlockFileTests
{
    private const int Sectors = 4096;

    /// <summary>A way to a file.</summary>
    public enum Way
    {
        Ring,
        Threads,
        DirectRing,
        DirectThreads,
        MemoryRing,
        MemoryThreads,
    }

    [Fact]
    [Trait("Behaviour", "IO-2")]
    public void A_device_is_not_in_memory_because_its_node_is()
    {
        // Where a worker does requests at once, one that is slow holds up all others of the queue.
        const string Memory = "/dev/shm";
        string path = Path.Combine(Memory, Path.GetRandomFileName());
        File.WriteAllBytes(path, new byte[512]);
        try
        {
            DiskFile.Open(path, readOnly: true, direct: false, out DiskFile? file).Should().Be(0);
            DiskFile.Open("/dev/zero", readOnly: true, direct: false, out DiskFile? device).Should().Be(0);
            using (file)
            using (device)
            {
                file!.IsInMemory.Should().BeTrue($"{Memory} is a tmpfs");
                device!.IsInMemory.Should().BeFalse("the node of a device lies in a devtmpfs, and is no file");
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    public static TheoryData<Way> EveryWay => [.. Enum.GetValues<Way>()];

    [Theory]
    [MemberData(nameof(EveryWay))]
    public void Many_requests_at_once_read_and_write_what_they_name(Way way)
    {
        byte[] model = Pattern(Sectors * 512, 1);
        using var scene = new Scene(way, model);
        var random = new Random(7);
        for (int round = 0; round < 20; round++)
        {
            // Each has sectors of its own: the order of the others is nobody's business.
            var reads = new List<(ulong Room, int Start, int Length)>();
            for (int k = 0; k < 32; k++)
            {
                int sectors = random.Next(1, 33);
                int start = ((k * 128) + random.Next(64)) * 512;
                int length = sectors * 512;
                if (random.Next(2) == 0)
                {
                    byte[] data = Pattern(length, random.Next());
                    data.CopyTo(model, start);
                    scene.Add(Out, (ulong)(start / 512), Cut(random, scene.Place(data, random), length, writable: false));
                }
                else
                {
                    ulong room = scene.Room(length, random);
                    reads.Add((room, start, length));
                    scene.Add(In, (ulong)(start / 512), Cut(random, room, length, writable: true));
                }
            }

            scene.Finish().Should().OnlyContain(static status => status == Ok);
            foreach ((ulong room, int start, int length) in reads)
            {
                scene.Disk.Ram.Read(room, length).Should().Equal(model.AsSpan(start, length).ToArray());
            }

            scene.Rewind();
        }

        scene.Add(Flush, 0);
        scene.Finish().Should().Equal(Ok);
        scene.File.Content.Should().Equal(model);
    }

    [Theory]
    [InlineData(Way.Ring)]
    [InlineData(Way.Threads)]
    [InlineData(Way.DirectRing)]
    [InlineData(Way.DirectThreads)]
    [InlineData(Way.MemoryRing)]
    public void A_request_in_more_pieces_than_a_call_takes_is_done_in_parts(Way way)
    {
        const int Pieces = 1500;
        byte[] model = Pattern(Pieces * 512, 2);
        using var scene = new Scene(way, new byte[Sectors * 512], queueSize: 2048);
        ulong data = scene.Disk.Ram.Place(model);
        ulong room = scene.Disk.Ram.Allocate(Pieces * 512);
        scene.Add(Out, 3, Pieced(data, writable: false));
        scene.Finish().Should().Equal(Ok);
        scene.Add(In, 3, Pieced(room, writable: true));
        scene.Finish().Should().Equal(Ok);

        scene.Disk.Ram.Read(room, model.Length).Should().Equal(model);
        scene.File.Content.AsSpan(3 * 512, model.Length).ToArray().Should().Equal(model);

        static GuestBuffer[] Pieced(ulong start, bool writable) =>
            [.. Enumerable.Range(0, Pieces).Select(k => Buffer(start + (512UL * (uint)k), 512, writable))];
    }

    [Theory]
    [MemberData(nameof(EveryWay))]
    public void Ranges_are_zeroed_and_discarded(Way way)
    {
        byte[] model = Pattern(Sectors * 512, 3);
        using var scene = new Scene(way, model);
        scene.Add(WriteZeroes, 0, Readable(scene.Disk.Ram.Place([.. Range(8, 24, 0), .. Range(64, 64, 1)]), 32));
        scene.Finish().Should().Equal(Ok);
        model.AsSpan(8 * 512, 24 * 512).Clear();
        model.AsSpan(64 * 512, 64 * 512).Clear();
        scene.File.Content.Should().Equal(model);

        scene.Add(Discard, 0, Readable(scene.Disk.Ram.Place(Range(256, 64, 0)), 16));
        scene.Finish().Should().Equal(Ok);
        scene.File.Content.AsSpan(0, 256 * 512).ToArray().Should().Equal(model.AsSpan(0, 256 * 512).ToArray());
        scene.File.Content.AsSpan(320 * 512).ToArray().Should().Equal(model.AsSpan(320 * 512).ToArray());
    }

    [Theory]
    [Trait("Behaviour", "IO-2")]
    [MemberData(nameof(EveryWay))]
    public void A_file_that_has_shrunk_fails_reads_behind_its_end(Way way)
    {
        using var scene = new Scene(way, Pattern(Sectors * 512, 4));
        using (SafeFileHandle file = File.OpenHandle(scene.File.Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            RandomAccess.SetLength(file, 512 * 512);
        }

        ulong room = scene.Disk.Ram.Allocate(8192, 4096);
        scene.Add(In, 512, Writable(room, 4096));
        scene.Finish().Should().Equal(IoError);
        scene.Add(In, 504, Writable(room, 8192));
        scene.Finish().Should().Equal([IoError], "half of it is there");
        scene.Add(In, 504, Writable(room, 4096));
        scene.Finish().Should().Equal(Ok);
        ((BlockDevice)scene.Disk.Device).Failures.Should().Be(2);
    }

    [Theory]
    [Trait("Behaviour", "IO-2")]
    [InlineData(false)]
    [InlineData(true)]
    public void A_host_without_space_fails_writes_and_goes_on(bool threads)
    {
        DescriptorIo.Open("/dev/full", Libc.O_RDWR, out FileDescriptor full).Should().Be(0);
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(RawFileBackend.Over(full, 1 << 20, threads))).Start();
        for (int k = 0; k < 3; k++)
        {
            Request(disk, Out, 0, new byte[4096], 0).Status.Should().Be(IoError, "ENOSPC");
            Request(disk, In, 0, [], 4096).Status.Should().Be(Ok, "it reads as zeroes");
        }

        Request(disk, WriteZeroes, 0, Range(0, 8, 0), 0).Status.Should().Be(IoError);
        disk.ResetReasons.Should().BeEmpty();
    }

    private static GuestBuffer Buffer(ulong address, uint length, bool writable) => writable ? Writable(address, length) : Readable(address, length);

    /// <summary>Up to three buffers, at sectors.</summary>
    private static GuestBuffer[] Cut(Random random, ulong start, int length, bool writable)
    {
        int first = random.Next(0, (length / 512) + 1) * 512;
        List<GuestBuffer> buffers = [];
        if (first != 0)
        {
            buffers.Add(Buffer(start, (uint)first, writable));
        }

        if (first != length)
        {
            buffers.Add(Buffer(start + (uint)first, (uint)(length - first), writable));
        }

        return [.. buffers];
    }

    private sealed class Scene : IDisposable
    {
        private readonly List<ulong> _statuses = [];
        private readonly ulong _mark;

        public Scene(Way way, byte[] content, ushort queueSize = 256)
        {
            bool inMemory = way is Way.MemoryRing or Way.MemoryThreads;
            File = new TemporaryFile(content, inMemory ? "/dev/shm" : null);
            var backend = RawFileBackend.Open(
                File.Path,
                readOnly: false,
                direct: way is Way.DirectRing or Way.DirectThreads,
                disableIoUring: way is Way.Threads or Way.DirectThreads or Way.MemoryThreads);
            Disk = new VirtioDeviceRig(new BlockDevice(backend, new BlockDeviceOptions { QueueSize = queueSize })).Start();
            _mark = Disk.Ram.Mark;
        }

        public TemporaryFile File { get; }

        public VirtioDeviceRig Disk { get; }

        /// <summary>Bytes in guest memory, aligned or not.</summary>
        public ulong Place(byte[] data, Random random)
        {
            ulong place = Room(data.Length, random);
            Disk.Ram.Write(place, data);
            return place;
        }

        public ulong Room(int length, Random random)
        {
            ulong room = Disk.Ram.Allocate((ulong)length + 512, 4096);
            return random.Next(3) == 0 ? room + (ulong)random.Next(512) : room;
        }

        public void Add(uint type, ulong sector, params GuestBuffer[] data)
        {
            ulong header = Disk.Ram.Place(Header(type, sector));
            ulong status = Disk.Ram.Allocate(1);
            Disk.Ram.Write(status, (byte)0xa5);
            _statuses.Add(status);
            GuestBuffer[] buffers = [Readable(header, 16), .. data, Writable(status, 1)];
            if (buffers.Length > 8)
            {
                Disk.Drivers[0].AddIndirect(buffers);
            }
            else
            {
                Disk.Drivers[0].Add(buffers);
            }
        }

        /// <summary>Waits for all that was added.</summary>
        public byte[] Finish()
        {
            Disk.Kick();
            foreach (ulong _ in _statuses)
            {
                Disk.WaitUsed();
            }

            byte[] statuses = [.. _statuses.Select(Disk.Ram.Read<byte>)];
            _statuses.Clear();
            return statuses;
        }

        public void Rewind() => Disk.Ram.Rewind(_mark);

        public void Dispose()
        {
            Disk.Dispose();
            File.Dispose();
        }
    }
}
