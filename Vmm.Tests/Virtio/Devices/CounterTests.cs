using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Memory;
using Vmm.DeviceModel.State;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Transport;
using static Vmm.Testing.Rings.GuestBuffer;
using static Vmm.Tests.Virtio.Devices.BlockRequests;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>The counters of devices, as who watches a machine reads them.</summary>
public sealed class CounterTests
{
    private const int Receive = 0;
    private const int Transmit = 1;

    [Fact]
    public void A_disk_counts_reads_and_writes_that_went_well_and_nothing_else()
    {
        using var file = new TemporaryFile(64 * 512);
        using VirtioDeviceRig disk = Open(file, new BlockDeviceOptions { QueueCount = 2 });
        Request(disk, In, 0, [], 4096).Status.Should().Be(Ok);
        Request(disk, In, 1, [], 512).Status.Should().Be(Ok);
        Request(disk, Out, 2, new byte[1024], 0).Status.Should().Be(Ok);
        ShouldBe(disk.Device, ("read_bytes", 4608), ("write_bytes", 1024), ("read_ops", 2), ("write_ops", 1));

        Request(disk, In, 64, [], 512).Status.Should().Be(IoError);
        Request(disk, Out, 64, new byte[512], 0).Status.Should().Be(IoError);
        Request(disk, Flush, 0, [], 0).Status.Should().Be(Ok);
        Request(disk, GetId, 0, [], 20).Status.Should().Be(Ok);
        Request(disk, WriteZeroes, 0, Range(0, 1, 0), 0).Status.Should().Be(Ok);
        Request(disk, Discard, 0, Range(0, 1, 0), 0).Status.Should().Be(Ok);
        ShouldBe(disk.Device, ("read_bytes", 4608), ("write_bytes", 1024), ("read_ops", 2), ("write_ops", 1));
    }

    [Fact]
    public void A_write_that_is_flushed_behind_or_leaves_buffers_empty_counts_once()
    {
        using var file = new TemporaryFile(64 * 512);
        using VirtioDeviceRig disk = Open(file);
        disk.Device.WriteConfiguration(0x20, 1, 0);

        // More than one part of the answer is cleared.
        Request(disk, Out, 0, new byte[512], 3 << 20).Status.Should().Be(Ok);

        ShouldBe(disk.Device, ("read_bytes", 0), ("write_bytes", 512), ("read_ops", 0), ("write_ops", 1));
    }

    [Fact]
    public void The_queues_of_a_disk_are_counted_together_and_a_reset_takes_nothing_back()
    {
        using var file = new TemporaryFile(64 * 512);
        using VirtioDeviceRig disk = Open(file, new BlockDeviceOptions { QueueCount = 3 });
        for (int queue = 0; queue < 3; queue++)
        {
            ulong answer = disk.Ram.Allocate(513);
            disk.Request(queue, Readable(disk.Ram.Place(Header(In, 0)), 16), Writable(answer, 513)).Should().Be(513);
        }

        disk.Device.Reset();
        ShouldBe(disk.Device, ("read_bytes", 3 * 512), ("write_bytes", 0), ("read_ops", 3), ("write_ops", 0));
    }

    [Fact]
    public void A_request_that_the_back_end_fails_is_not_counted()
    {
        var backend = new SubmittedBlockBackend(static request => request.Complete(BlockStatus.IoError));
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend)).Start();
        Request(disk, In, 0, [], 512).Status.Should().Be(IoError);
        Request(disk, Out, 0, new byte[512], 0).Status.Should().Be(IoError);
        ShouldBe(disk.Device, ("read_bytes", 0), ("write_bytes", 0), ("read_ops", 0), ("write_ops", 0));
    }

    [Fact]
    public void A_card_counts_frames_without_our_header()
    {
        var backend = new FakeNetBackend();
        using VirtioDeviceRig net = new VirtioDeviceRig(new NetDevice(backend)).Start();
        net.Request(Transmit, Readable(net.Ram.Place(new byte[12 + 60]), 72));
        net.Request(Transmit, Readable(net.Ram.Place(new byte[12 + 100]), 112));

        // In one buffer, and over two, which takes another way.
        net.Drivers[Receive].Add(Writable(net.Ram.Allocate(2000), 2000));
        net.Kick(Receive);
        backend.Arrive(new byte[1000]);
        net.WaitUsed(Receive).Length.Should().Be(1012);
        net.Drivers[Receive].Add(Writable(net.Ram.Allocate(1000), 1000));
        net.Kick(Receive);
        backend.Arrive(new byte[1500]);
        Eventually.Holds(() => backend.Waiting == 0, "the packet is taken");
        net.Drivers[Receive].Add(Writable(net.Ram.Allocate(1000), 1000));
        net.Kick(Receive);
        net.WaitUsed(Receive);
        net.WaitUsed(Receive);

        ShouldBe(
            net.Device, ("rx_bytes", 2500), ("tx_bytes", 160), ("rx_frames", 2), ("tx_frames", 2), ("rx_dropped", 0), ("tx_dropped", 0));
    }

    [Fact]
    public void A_card_counts_no_packet_that_was_dropped()
    {
        var backend = new FakeNetBackend { TakesPackets = false };
        using VirtioDeviceRig net = new VirtioDeviceRig(new NetDevice(backend)).Start();
        net.Request(Transmit, Readable(net.Ram.Place(new byte[72]), 72));
        net.Request(Transmit, Readable(net.Ram.Place(new byte[5]), 5));
        ShouldBe(net.Device, ("rx_bytes", 0), ("tx_bytes", 0), ("rx_frames", 0), ("tx_frames", 0), ("rx_dropped", 0), ("tx_dropped", 2));
    }

    [Fact]
    public void They_are_shown()
    {
        using var file = new TemporaryFile(64 * 512);
        using VirtioDeviceRig disk = Open(file);
        Request(disk, In, 0, [], 1024).Status.Should().Be(Ok);
        InspectionNode node = ComponentTree.Inspect(disk.Device);
        node.TextOf("read_bytes").Should().Be("1024");
        node.TextOf("write_ops").Should().Be("0");
    }

    [Fact]
    public void A_function_passes_on_what_its_device_counts_and_adds_its_own()
    {
        using var memory = new GuestRam();
        using var counting = new VirtioPciFunction(new CountingDevice(), new DmaTarget(memory.Memory));
        using var plain = new VirtioPciFunction(new EntropyDevice(), new DmaTarget(memory.Memory));
        (string, long)[] own = [("msix_messages", 0), ("queue_resets", 0), ("device_failures", 0), ("guest_mistakes", 0)];
        ShouldBe(counting, [("spins", 7), .. own]);
        ShouldBe(plain, own);
    }

    private static void ShouldBe(object device, params (string Name, long Value)[] expected)
    {
        device.Should().BeAssignableTo<IDeviceCounters>().Which.Counters
            .Select(static counter => (counter.Name, counter.Value)).Should().Equal(expected);
    }

    /// <summary>A device of an embedder's that counts.</summary>
    private sealed class CountingDevice() : WorkerDevice(new EntropyDeviceOptions(), queueCount: 1), IDeviceCounters
    {
        public override VirtioDeviceType DeviceType => (VirtioDeviceType)30;

        public override ulong OfferedFeatures => 0;

        public IReadOnlyList<DeviceCounter> Counters => [new("spins", 7)];

        protected override QueueHandler CreateHandler(int index, Virtqueue queue) => throw new NotSupportedException();
    }
}
