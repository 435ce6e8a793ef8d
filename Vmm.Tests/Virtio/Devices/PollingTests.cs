using System;
using System.Threading;
using Vmm.DeviceModel.State;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;
using static Vmm.Tests.Virtio.Devices.BlockRequests;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>A worker that looks into the ring for a while before it sleeps: no request is lost between the two (virtio 1.2, 2.7.10).</summary>
public sealed class PollingTests
{
    private const int Requests = 5000;

    [Theory]
    [InlineData(RingForm.Split, true, 20)]
    [InlineData(RingForm.Split, false, 20)]
    [InlineData(RingForm.Packed, true, 20)]
    [InlineData(RingForm.Packed, false, 20)]
    [InlineData(RingForm.Split, true, 0)]
    [InlineData(RingForm.Packed, true, 0)]
    public void A_driver_that_kicks_only_when_it_is_asked_to_has_every_request_served(RingForm form, bool eventIndex, int microseconds)
    {
        using VirtioDeviceRig disk = Open(form, eventIndex, TimeSpan.FromMicroseconds(microseconds));
        GuestBuffer header = Readable(disk.Ram.Place(Header(In, 0)), 16);
        GuestBuffer data = Writable(disk.Ram.Allocate(512), 512);
        GuestBuffer status = Writable(disk.Ram.Allocate(1), 1);
        var random = new Random(1);
        int kicks = 0;
        for (int i = 0; i < Requests; i++)
        {
            disk.Drivers[0].Add(header, data, status);
            disk.Drivers[0].Publish();
            if (disk.Drivers[0].NeedsKick())
            {
                kicks++;
                disk.Signal();
            }

            SpinWait.SpinUntil(() => disk.Drivers[0].HasUsed, Eventually.Patience).Should().BeTrue($"request {i} has a worker");
            disk.Drivers[0].TryTakeUsed(out _, out _).Should().BeTrue();

            // Around the time at which the worker goes to sleep.
            Thread.SpinWait(random.Next(2000));
        }

        kicks.Should().BePositive("nobody looks for ever").And.BeLessThanOrEqualTo(Requests);
    }

    [Fact]
    public void A_worker_that_looks_needs_no_kick()
    {
        // So long that a worker which was woken twice in a row is still looking.
        using VirtioDeviceRig disk = Open(RingForm.Split, true, TimeSpan.FromMilliseconds(1));
        bool unkicked = false;
        for (int i = 0; i < Requests && !unkicked; i++)
        {
            Add(disk);
            unkicked = !disk.Drivers[0].NeedsKick();
            if (!unkicked)
            {
                disk.Signal();
            }

            SpinWait.SpinUntil(() => disk.Drivers[0].HasUsed, Eventually.Patience).Should().BeTrue();
            disk.Drivers[0].TryTakeUsed(out _, out _).Should().BeTrue();
        }

        unkicked.Should().BeTrue();
        ComponentTree.Inspect(disk.Device).TextOf("polled in vain ms").Should().NotBeNull();
    }

    [Fact]
    public void A_ring_that_breaks_while_it_is_looked_at_needs_a_reset()
    {
        for (int round = 0; round < 50; round++)
        {
            using VirtioDeviceRig disk = Open(RingForm.Split, false, TimeSpan.FromMilliseconds(1));
            for (int i = 0; i < 5; i++)
            {
                Add(disk);
                disk.Signal();
                SpinWait.SpinUntil(() => disk.Drivers[0].HasUsed, Eventually.Patience).Should().BeTrue();
                disk.Drivers[0].TryTakeUsed(out _, out _);
            }

            // The available index jumps by more than the queue's size (VQ-4).
            ulong index = disk.Drivers[0].Driver + 2;
            disk.Ram.Write(index, (ushort)(disk.Ram.Read<ushort>(index) + 20_000));
            disk.Signal();
            disk.WaitNeedsReset().Should().Contain("available index");
            disk.Device.Reset();
        }
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1001)]
    public void A_limit_out_of_range_is_refused(int microseconds)
    {
        FluentActions.Invoking(() => Open(RingForm.Split, true, TimeSpan.FromMicroseconds(microseconds))).Should().Throw<ArgumentException>();
    }

    private static VirtioDeviceRig Open(RingForm form, bool eventIndex, TimeSpan limit)
    {
        var options = new BlockDeviceOptions { PollLimit = limit, EventIndex = eventIndex };
        var device = new BlockDevice(new SubmittedBlockBackend(static request => request.Complete(BlockStatus.Ok)), options);
        return new VirtioDeviceRig(device, features: device.OfferedFeatures | (form == RingForm.Packed ? RingFeatures.Packed : 0)).Start();
    }

    private static void Add(VirtioDeviceRig disk)
    {
        disk.Drivers[0].Add(Readable(disk.Ram.Place(Header(In, 0)), 16), Writable(disk.Ram.Allocate(512), 512), Writable(disk.Ram.Allocate(1), 1));
        disk.Drivers[0].Publish();
    }
}
