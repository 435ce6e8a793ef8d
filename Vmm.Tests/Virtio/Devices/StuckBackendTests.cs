using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using static Vmm.Testing.Rings.GuestBuffer;
using static Vmm.Tests.Virtio.Devices.BlockRequests;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Requests that the host does not end hold up their queue until the limit of a stop, and nothing else (CON-2, CON-3).</summary>
[Trait("Behaviour", "CON-3")]
public sealed class StuckBackendTests
{
    private const ulong FarRam = 1UL << 32;
    private const int FarLength = 1 << 20;

    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    // The limit of a stop is 100 ms; the machine may be busy.
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    [Fact]
    [Trait("Behaviour", "CON-2")]
    public void A_reset_detaches_requests_that_do_not_end_and_their_memory_stays()
    {
        var backend = new HeldBlockBackend();
        using var ram = new GuestRam((0, 64 << 20), (FarRam, FarLength));
        ram.Memory.PinLimit = TimeSpan.FromMilliseconds(20);
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend), ram).Start();
        GuestMemoryRegion far = ram.Region(FarRam);
        Add(disk, In, [Writable(FarRam, 512)]);
        Add(disk, In, [Writable(FarRam + 4096, 512)]);
        disk.Kick();
        backend.WaitArrived(2);

        var watch = Stopwatch.StartNew();
        disk.Device.Reset();
        watch.Elapsed.Should().BeLessThan(Soon);

        far.PinCount.Should().Be(2);
        ram.Memory.Invoking(m => m.Remove(far)).Should().Throw<PinnedMemoryException>();
        ram.Memory.Current.Regions.Should().Contain(far);

        EndAll(backend);
        disk.Drivers[0].HasUsed.Should().BeFalse("what completes later is dropped");
        far.PinCount.Should().Be(0);
        ram.RemoveRegion(far);
    }

    [Fact]
    public void The_next_life_of_a_queue_begins_when_the_last_request_of_the_former_has_ended()
    {
        var backend = new HeldBlockBackend();
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend)).Start();
        ulong room = disk.Ram.Allocate(512);
        Add(disk, In, [Writable(room, 512)]);
        disk.Kick();
        backend.WaitArrived(1);
        backend.Held.TryDequeue(out BlockRequest? old).Should().BeTrue();
        disk.Device.Reset();

        disk.Drivers.Clear();
        disk.Vectors.Clear();
        disk.Start();
        Add(disk, Out, [], new byte[512]);
        disk.Kick();
        Thread.Sleep(50);
        backend.Held.Should().BeEmpty("an old write must not come after a new one");

        old!.Complete(BlockStatus.Ok);
        backend.WaitArrived(1);
        disk.Drivers[0].HasUsed.Should().BeFalse("what the old life completes is not of the new one");
        EndAll(backend);
        disk.WaitUsed().Length.Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "VTP-9")]
    public void A_request_that_a_queue_leaves_behind_holds_up_no_other_queue()
    {
        var backend = new HeldBlockBackend();
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend, new BlockDeviceOptions { QueueCount = 3 })).Start();
        Add(disk, In, [Writable(disk.Ram.Allocate(512), 512)]);
        disk.Kick();
        backend.WaitArrived(1);
        backend.Held.TryDequeue(out BlockRequest? stuck).Should().BeTrue();
        Stop(disk, 0);

        // One that ran on, one that is restarted.
        Restart(disk, 2);
        foreach (int other in new[] { 1, 2 })
        {
            Add(disk, In, [Writable(disk.Ram.Allocate(512), 512)], queue: other);
            disk.Kick(other);
            backend.WaitArrived(1);
            EndAll(backend);
            disk.WaitUsed(other).Length.Should().Be(513);
        }

        Restart(disk, 0);
        Add(disk, Out, [], new byte[512]);
        disk.Kick();
        Thread.Sleep(50);
        backend.Held.Should().BeEmpty("of the queue itself an old request may come after a new one");
        stuck!.Complete(BlockStatus.Ok);
        backend.WaitArrived(1);
        EndAll(backend);
        disk.WaitUsed();
    }

    [Fact]
    public void A_request_that_is_left_behind_holds_up_every_queue_of_the_next_life()
    {
        var backend = new HeldBlockBackend();
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend, new BlockDeviceOptions { QueueCount = 2 })).Start();
        Add(disk, In, [Writable(disk.Ram.Allocate(512), 512)]);
        disk.Kick();
        backend.WaitArrived(1);
        backend.Held.TryDequeue(out BlockRequest? stuck).Should().BeTrue();
        Stop(disk, 0);
        disk.Device.Reset();
        disk.Drivers.Clear();
        disk.Vectors.Clear();
        disk.Start();
        Add(disk, Out, [], new byte[512], queue: 1);
        disk.Kick(1);
        Thread.Sleep(50);
        backend.Held.Should().BeEmpty("the driver does not know that a write of its former life is still on its way");

        stuck!.Complete(BlockStatus.Ok);
        backend.WaitArrived(1);
        EndAll(backend);
        disk.WaitUsed(1);
    }

    [Fact]
    public void A_worker_that_is_stuck_in_a_call_holds_up_no_reset_and_serves_the_next_life()
    {
        using var gate = new ManualResetEventSlim();
        var backend = new GatedBlockBackend(() => gate.Wait(Long));
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend)).Start();
        ulong room = disk.Ram.Allocate(512);
        Add(disk, In, [Writable(room, 512)]);
        disk.Kick();
        backend.Entered.Wait(Long).Should().BeTrue();

        var watch = Stopwatch.StartNew();
        for (int life = 0; life < 3; life++)
        {
            disk.Device.Reset();
            disk.Drivers.Clear();
            disk.Vectors.Clear();
            disk.Start();
            Add(disk, In, [Writable(room, 512)]);
            disk.Kick();
        }

        watch.Elapsed.Should().BeLessThan(Soon);
        backend.Calls.Should().Be(1);
        disk.Ram.Region(0).PinCount.Should().Be(1, "the lives in between have begun nothing");

        gate.Set();
        disk.WaitUsed().Length.Should().Be(513);
        backend.Calls.Should().Be(2);
        disk.Ram.Region(0).PinCount.Should().Be(0);
    }

    [Fact]
    public void A_device_can_be_disposed_while_its_worker_is_stuck()
    {
        var gate = new ManualResetEventSlim();
        var backend = new GatedBlockBackend(() => gate.Wait(Long));
        var disposed = new ManualResetEventSlim();
        var device = new BlockDevice(new ClosingBackend(backend, disposed.Set));
        VirtioDeviceRig disk = new VirtioDeviceRig(device).Start();
        Add(disk, In, [Writable(disk.Ram.Allocate(512), 512)]);
        disk.Kick();
        backend.Entered.Wait(Long).Should().BeTrue();

        var watch = Stopwatch.StartNew();
        device.Dispose();
        watch.Elapsed.Should().BeLessThan(Soon);
        disposed.IsSet.Should().BeFalse("a file is not closed under its reader");

        gate.Set();
        disposed.Wait(Long).Should().BeTrue();
        disk.Ram.Region(0).PinCount.Should().Be(0);
        disk.Dispose();
    }

    [Fact]
    public void A_disk_whose_back_end_ends_everything_on_one_thread_is_closed_when_its_last_request_has_ended()
    {
        using var gate = new ManualResetEventSlim();
        using var disposed = new ManualResetEventSlim();
        var backend = new OneThreadBackend(gate, disposed.Set);
        var device = new BlockDevice(backend);
        VirtioDeviceRig disk = new VirtioDeviceRig(device).Start();
        Add(disk, In, [Writable(disk.Ram.Allocate(512), 512)]);
        disk.Kick();
        backend.Entered.Wait(Long).Should().BeTrue();
        device.Dispose();

        gate.Set();

        disposed.Wait(Long).Should().BeTrue("the thread that ends the read has to end the flush too");
        disk.Dispose();
    }

    [Fact]
    public void A_flush_that_does_not_end_holds_up_the_end_of_its_disk_for_a_limit_alone()
    {
        using var gate = new ManualResetEventSlim();
        using var disposed = new ManualResetEventSlim();
        var device = new BlockDevice(new OneThreadBackend(gate, disposed.Set));
        VirtioDeviceRig disk = new VirtioDeviceRig(device).Start();

        var watch = Stopwatch.StartNew();
        device.Dispose();
        watch.Elapsed.Should().BeLessThan(Long);
        disposed.IsSet.Should().BeFalse();

        gate.Set();
        disposed.Wait(Long).Should().BeTrue();
        disk.Dispose();
    }

    [Fact]
    public async Task A_stop_waits_for_requests_that_end_in_time()
    {
        var backend = new HeldBlockBackend();
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend, new BlockDeviceOptions { StopLimit = Soon })).Start();
        ulong room = disk.Ram.Allocate(4096);
        for (int i = 0; i < 8; i++)
        {
            Add(disk, In, [Writable(room, 512)]);
        }

        disk.Kick();
        backend.WaitArrived(8);
        Task<Vmm.Virtio.Queues.VirtqueueState?> stop = Task.Run(() => disk.Device.StopQueue(0));
        await Task.Run(() => EndAll(backend));

        Vmm.Virtio.Queues.VirtqueueState? state = await stop.WaitAsync(Long);
        state!.UsedIndex.Should().Be(8);
        state.AvailableIndex.Should().Be(8);
        ((SplitRingDriver)disk.Drivers[0]).UsedIndex.Should().Be(8);
        disk.Ram.Region(0).PinCount.Should().Be(0);
    }

    [Fact]
    public void A_device_is_drained_without_being_stopped()
    {
        var backend = new HeldBlockBackend();
        var device = new BlockDevice(backend);
        using VirtioDeviceRig disk = new VirtioDeviceRig(device).Start();
        ulong room = disk.Ram.Allocate(4096);
        Add(disk, In, [Writable(room, 512)]);
        disk.Kick();
        backend.WaitArrived(1);

        device.TryDrain(TimeSpan.FromMilliseconds(20)).Should().BeFalse();
        EndAll(backend);
        device.TryDrain(Long).Should().BeTrue();
        disk.WaitUsed();
        Add(disk, In, [Writable(room, 512)]);
        disk.Kick();
        disk.Signal();
        Thread.Sleep(50);
        backend.Held.Should().BeEmpty("it is paused");

        device.Resume();
        backend.WaitArrived(1);
        EndAll(backend);
        disk.WaitUsed();
    }

    [Fact]
    [Trait("Behaviour", "CON-2")]
    public void A_chain_that_is_available_again_while_it_is_in_flight_breaks_the_ring()
    {
        var backend = new HeldBlockBackend();
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend)).Start();
        ushort head = Add(disk, In, [Writable(disk.Ram.Allocate(512), 512)]);
        disk.Kick();
        backend.WaitArrived(1);
        ((SplitRingDriver)disk.Drivers[0]).AddHead(head);
        disk.Kick();

        disk.WaitNeedsReset().Should().Contain("in flight");
        EndAll(backend);
        Eventually.Holds(() => disk.Ram.Region(0).PinCount == 0, "its memory is let go of");
    }

    [Fact]
    public void A_request_is_completed_once()
    {
        var backend = new HeldBlockBackend();
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend)).Start();
        Add(disk, In, [Writable(disk.Ram.Allocate(512), 512)]);
        disk.Kick();
        backend.WaitArrived(1);
        backend.Held.TryDequeue(out BlockRequest? request).Should().BeTrue();
        request!.Complete(BlockStatus.Ok);
        disk.WaitUsed();

        request.Invoking(r => r.Complete(BlockStatus.Ok)).Should().Throw<InvalidOperationException>();
        disk.Drivers[0].HasUsed.Should().BeFalse();
    }

    private static ushort Add(VirtioDeviceRig disk, uint type, GuestBuffer[] room, byte[]? data = null, int queue = 0)
    {
        List<GuestBuffer> buffers = [Readable(disk.Ram.Place(Header(type, 0)), 16)];
        if (data is not null)
        {
            buffers.Add(Readable(disk.Ram.Place(data), (uint)data.Length));
        }

        return disk.Drivers[queue].Add([.. buffers, .. room, Writable(disk.Ram.Allocate(1), 1)]);
    }

    private static void Stop(VirtioDeviceRig disk, int queue)
    {
        disk.Device.PrepareStop(queue);
        disk.Device.StopQueue(queue);
    }

    private static void Restart(VirtioDeviceRig disk, int queue)
    {
        Stop(disk, queue);
        disk.Drivers[queue] = RingDriver.Create(RingForm.Split, disk.Ram, 256, disk.Features, queue);
        disk.StartQueue(queue, null);
    }

    private static void EndAll(HeldBlockBackend backend)
    {
        while (backend.Held.TryDequeue(out BlockRequest? request))
        {
            request.Complete(BlockStatus.Ok);
        }
    }

    private sealed class ClosingBackend(IBlockBackend inner, Action onDispose) : IBlockBackend
    {
        public long Length => inner.Length;

        public bool IsReadOnly => inner.IsReadOnly;

        public void Submit(BlockRequest request) => inner.Submit(request);

        public void Dispose()
        {
            inner.Dispose();
            onDispose();
        }
    }

    /// <summary>A back-end of the usual make: whatever it is given is ended by its one thread, here once a gate is open.</summary>
    private sealed class OneThreadBackend : IBlockBackend
    {
        private readonly BlockingCollection<BlockRequest> _requests = [];
        private readonly Action _onDispose;

        public OneThreadBackend(ManualResetEventSlim gate, Action onDispose)
        {
            _onDispose = onDispose;
            var reaper = new Thread(() =>
            {
                foreach (BlockRequest request in _requests.GetConsumingEnumerable())
                {
                    Entered.Set();
                    gate.Wait();
                    request.Complete(BlockStatus.Ok);
                }
            });
            reaper.IsBackground = true;
            reaper.Start();
        }

        public ManualResetEventSlim Entered { get; } = new();

        public long Length => 1L << 30;

        public bool IsReadOnly => false;

        public void Submit(BlockRequest request) => _requests.Add(request);

        public void Dispose()
        {
            _requests.CompleteAdding();
            _onDispose();
        }
    }
}
