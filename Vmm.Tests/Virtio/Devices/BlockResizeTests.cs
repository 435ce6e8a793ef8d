using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Tests.Fakes;
using Vmm.Tests.Virtio.Transport;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using static Vmm.Testing.Rings.GuestBuffer;
using static Vmm.Tests.Virtio.Devices.BlockRequests;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>A disk that gets another size while it runs (virtio 1.2, 2.5 and 4.1.5.4).</summary>
[Trait("Behaviour", "IO-6")]
public sealed class BlockResizeTests
{
    private const int Sector = 512;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_file_grows_with_its_disk_and_the_driver_is_told(bool threads)
    {
        byte[] content = Pattern(64 * Sector, 1);
        using var file = new TemporaryFile(content);
        var device = new BlockDevice(RawFileBackend.Open(file.Path, false, disableIoUring: threads));
        using VirtioDeviceRig disk = new VirtioDeviceRig(device).Start();
        Request(disk, In, 64, [], Sector).Status.Should().Be(IoError);

        device.Resize(100 * Sector);

        device.Capacity.Should().Be(100 * Sector);
        disk.Device.ReadConfiguration(0, 8).Should().Be(100, "capacity in sectors");
        disk.ConfigurationChanges.Should().Be(1);
        new FileInfo(file.Path).Length.Should().Be(100 * Sector);
        Request(disk, In, 99, [], Sector).Should().BeEquivalentTo((Ok, new byte[Sector], Sector + 1u), "what it grows by is zeroes");
        byte[] data = Pattern(Sector, 2);
        Request(disk, Out, 99, data, 0).Status.Should().Be(Ok);
        Request(disk, In, 99, [], Sector).Data.Should().Equal(data);
        Request(disk, In, 100, [], Sector).Status.Should().Be(IoError);
        file.Content.Should().Equal([.. content, .. new byte[35 * Sector], .. data]);
    }

    [Fact]
    public void A_file_is_cut_with_its_disk_and_what_lies_beyond_is_refused()
    {
        byte[] content = Pattern(64 * Sector, 3);
        using var file = new TemporaryFile(content);
        var device = new BlockDevice(RawFileBackend.Open(file.Path, false));
        using VirtioDeviceRig disk = new VirtioDeviceRig(device).Start();

        device.Resize(16 * Sector);

        disk.Device.ReadConfiguration(0, 8).Should().Be(16);
        disk.ConfigurationChanges.Should().Be(1);
        Request(disk, Out, 16, new byte[Sector], 0).Status.Should().Be(IoError);
        Request(disk, In, 15, [], 2 * Sector).Status.Should().Be(IoError);
        Request(disk, WriteZeroes, 0, Range(15, 2, 0), 0).Status.Should().Be(IoError);
        Request(disk, Discard, 0, Range(15, 2, 0), 0).Status.Should().Be(IoError);
        Request(disk, In, 15, [], Sector).Data.Should().Equal(content.AsSpan(15 * Sector, Sector).ToArray());
        file.Content.Should().Equal(content.AsSpan(0, 16 * Sector).ToArray());
        disk.ResetReasons.Should().BeEmpty();
    }

    [Fact]
    public void Requests_in_flight_beyond_a_new_end_fail_and_no_others_and_what_they_wrote_is_cut_off()
    {
        var backend = new ResizableBackend(64 * Sector);
        var device = new BlockDevice(backend);
        using VirtioDeviceRig disk = new VirtioDeviceRig(device).Start();
        ulong[] answers = [.. new ulong[] { 8, 15, 16, 40 }.Select(sector => Begin(disk, sector))];
        Eventually.Holds(() => backend.Held.Count == 4, "all are in flight");

        device.Resize(16 * Sector);
        int asked = backend.Resizes.Count;
        while (backend.Held.TryDequeue(out BlockRequest? request))
        {
            request.Buffers.Fill(0x5a);
            request.Complete(BlockStatus.Ok);
        }

        for (int i = 0; i < 4; i++)
        {
            disk.WaitUsed();
        }

        answers.Select(answer => disk.Ram.Read<byte>(answer + Sector)).Should().Equal(Ok, Ok, IoError, IoError);
        disk.Ram.Read<byte>(answers[1]).Should().Be(0x5a);
        disk.Ram.Read<byte>(answers[3]).Should().Be(0, "nothing comes along with an error");
        device.Failures.Should().Be(2);
        Eventually.Holds(() => backend.Resizes.Count > asked, "the back-end is cut once more");
        backend.Resizes.Should().OnlyContain(static length => length == 16 * Sector);
        disk.ResetReasons.Should().BeEmpty();
    }

    [Fact]
    public void What_is_begun_before_it_grows_is_judged_by_the_size_that_it_saw()
    {
        var backend = new ResizableBackend(16 * Sector);
        var device = new BlockDevice(backend);
        using VirtioDeviceRig disk = new VirtioDeviceRig(device).Start();
        ulong answer = Begin(disk, 15);
        Eventually.Holds(() => backend.Held.Count == 1, "it is in flight");
        device.Resize(32 * Sector);
        backend.Held.TryDequeue(out BlockRequest? request).Should().BeTrue();
        request!.Complete(BlockStatus.Ok);
        disk.WaitUsed();
        disk.Ram.Read<byte>(answer + Sector).Should().Be(Ok);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-512)]
    [InlineData(1000)]
    [InlineData(long.MinValue)]
    public void A_size_that_no_disk_has_is_refused(long length)
    {
        using var device = new BlockDevice(new ResizableBackend(64 * Sector));
        device.Invoking(disk => disk.Resize(length)).Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*{length}*");
        device.Capacity.Should().Be(64 * Sector);
    }

    [Fact]
    public void A_disk_that_cannot_be_resized_says_so_and_stays_as_it_is()
    {
        using var file = new TemporaryFile(64 * Sector);
        var refusing = new ResizableBackend(64 * Sector) { Refuses = true };
        (BlockDevice Device, string Reason)[] disks =
        [
            (new BlockDevice(RawFileBackend.Open(file.Path, readOnly: true)), "*read-only*"),
            (new BlockDevice(new SubmittedBlockBackend(static request => request.Complete(BlockStatus.Ok))), "*cannot be resized"),
            (new BlockDevice(new GatedBlockBackend(static () => { })), "*cannot be resized"),
            (new BlockDevice(refusing), "*no*"),
        ];
        foreach ((BlockDevice device, string reason) in disks)
        {
            using VirtioDeviceRig disk = new VirtioDeviceRig(device).Start();
            long before = device.Capacity;
            device.Invoking(static d => d.Resize(1 << 20)).Should().Throw<BackendException>().WithMessage(reason);
            device.Capacity.Should().Be(before);
            disk.ConfigurationChanges.Should().Be(0);
            disk.Device.ReadConfiguration(0, 8).Should().Be((ulong)before / Sector);
        }

        new FileInfo(file.Path).Length.Should().Be(64 * Sector);
    }

    [Fact]
    public void The_size_that_it_has_changes_nothing_for_the_driver()
    {
        using var file = new TemporaryFile(64 * Sector);
        var device = new BlockDevice(RawFileBackend.Open(file.Path, false));
        using VirtioDeviceRig disk = new VirtioDeviceRig(device).Start();
        device.Resize(64 * Sector);
        disk.ConfigurationChanges.Should().Be(0);
    }

    [Fact]
    public void A_disk_that_is_closed_is_not_resized()
    {
        var device = new BlockDevice(new ResizableBackend(64 * Sector));
        device.Dispose();
        device.Invoking(static disk => disk.Resize(Sector)).Should().Throw<ObjectDisposedException>();
    }

    [Fact]
    public void A_disk_can_be_resized_before_a_driver_comes()
    {
        using var file = new TemporaryFile(64 * Sector);
        using var device = new BlockDevice(RawFileBackend.Open(file.Path, false));
        device.Resize(8 * Sector);
        device.ReadConfiguration(0, 8).Should().Be(8);
    }

    [Fact]
    public void The_generation_moves_and_a_configuration_interrupt_comes()
    {
        using var rig = new TransportRig();
        var device = new BlockDevice(new ResizableBackend(64 * Sector));
        rig.AddFunction(device, slot: 2);
        var driver = new TestDriver(rig.Memory, TransportRig.EcamBase + (2 << 15));
        driver.Place(0xe100_0000);
        driver.Negotiate(TestDriver.Version1).Should().BeTrue();
        driver.Status = 0xf;
        rig.Memory.Read(driver.Config, 8).Should().Be(64);
        ulong before = driver.Get(Reg.ConfigGeneration, 1);

        device.Resize(32 * Sector);

        rig.Memory.Read(driver.Isr, 1).Should().Be(2, "the configuration bit alone");
        rig.Memory.Read(driver.Config, 8).Should().Be(32);
        driver.Get(Reg.ConfigGeneration, 1).Should().NotBe(before);
    }

    [Fact]
    public async Task Sizes_change_under_load()
    {
        using var file = new TemporaryFile(64 * Sector);
        var device = new BlockDevice(RawFileBackend.Open(file.Path, false), new BlockDeviceOptions { QueueCount = 2 });
        using (VirtioDeviceRig disk = new VirtioDeviceRig(device).Start())
        {
            bool stop = false;
            var resizer = Task.Run(() =>
            {
                var random = new Random(1);
                while (!Volatile.Read(ref stop))
                {
                    device.Resize(random.Next(1, 128) * Sector);
                }
            });
            var random = new Random(2);
            var statuses = new SortedSet<byte>();
            ulong header = disk.Ram.Allocate(16);
            ulong data = disk.Ram.Allocate(Sector);
            ulong status = disk.Ram.Allocate(1);
            for (int i = 0; i < 3000; i++)
            {
                bool write = random.Next(2) == 0;
                disk.Ram.Write(header, Header(write ? Out : In, (ulong)random.Next(128)));
                disk.Request(i % 2, Readable(header, 16), write ? Readable(data, Sector) : Writable(data, Sector), Writable(status, 1));
                statuses.Add(disk.Ram.Read<byte>(status));
            }

            Volatile.Write(ref stop, true);
            await resizer;
            statuses.Should().Equal(Ok, IoError);
            disk.ResetReasons.Should().BeEmpty();
        }

        new FileInfo(file.Path).Length.Should().Be(device.Capacity, "nothing that was in flight has left the file longer");
    }

    private static ulong Begin(VirtioDeviceRig disk, ulong sector)
    {
        ulong answer = disk.Ram.Allocate(Sector + 1);
        disk.Drivers[0].Add(Readable(disk.Ram.Place(Header(In, sector)), 16), Writable(answer, Sector + 1));
        disk.Kick();
        return answer;
    }

    /// <summary>A disk of any size whose reads end when the test says so.</summary>
    private sealed class ResizableBackend(long length) : IBlockBackend
    {
        private long _length = length;

        public long Length => Volatile.Read(ref _length);

        public bool IsReadOnly => false;

        public bool Refuses { get; init; }

        public ConcurrentQueue<BlockRequest> Held { get; } = new();

        public ConcurrentQueue<long> Resizes { get; } = new();

        public void Resize(long length)
        {
            if (Refuses)
            {
                throw new BackendException("resize", "it", 0, "says no");
            }

            Resizes.Enqueue(length);
            Volatile.Write(ref _length, length);
        }

        public void Submit(BlockRequest request)
        {
            if (request.Operation == BlockOperation.Flush)
            {
                request.Complete(BlockStatus.Ok);
            }
            else
            {
                Held.Enqueue(request);
            }
        }

        public void Dispose()
        {
        }
    }
}
