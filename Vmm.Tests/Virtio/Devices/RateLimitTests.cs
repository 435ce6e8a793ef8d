using System;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Limits;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;
using static Vmm.Tests.Virtio.Devices.BlockRequests;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Devices that are held to a rate; what has to wait is nobody's business but its queue's.</summary>
[Trait("Behaviour", "IO-5")]
public sealed class RateLimitTests
{
    private const int Receive = 0;
    private const int Transmit = 1;

    // The clock of the limits stands still, so that no wait for one ever ends by itself.
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    private readonly ManualTime _time = new();
    private readonly CountingTime _clock;

    public RateLimitTests() => _clock = new CountingTime(_time);

    public static TheoryData<ulong> Rings => [0, RingFeatures.Packed, RingFeatures.InOrder];

    [Theory]
    [MemberData(nameof(Rings))]
    public void As_many_requests_complete_as_the_limit_has_and_the_rest_as_time_goes_on(ulong ring)
    {
        using VirtioDeviceRig disk = Disk(Operations(3), ring: ring);
        for (int i = 0; i < 6; i++)
        {
            Read(disk);
        }

        ShouldUse(disk, 3);
        long reads = _clock.Reads;
        Thread.Sleep(30);
        _clock.Reads.Should().Be(reads, "nobody asks the limit again and again");
        for (int i = 0; i < 3; i++)
        {
            Advance(334);
            ShouldUse(disk, 1);
        }

        disk.ResetReasons.Should().BeEmpty();
    }

    [Fact]
    public void Bytes_are_limited_and_a_request_that_is_larger_than_the_bucket_has_its_turn()
    {
        using VirtioDeviceRig disk = Disk(new RateLimiterOptions(new TokenBucketOptions(4096, 1000)));
        Read(disk, 12288);
        Read(disk);
        ShouldUse(disk, 1);

        // 8192 bytes are owed.
        Advance(2000);
        ShouldUse(disk, 0);
        Advance(1);
        ShouldUse(disk, 1);
    }

    [Fact]
    public void Zeroes_count_as_the_bytes_that_they_are()
    {
        using VirtioDeviceRig disk = Disk(new RateLimiterOptions(new TokenBucketOptions(4096, 1000)));
        Request(disk, WriteZeroes, 0, Range(0, 24, 0), 0).Status.Should().Be(Ok);
        Read(disk);

        // 8192 bytes are owed.
        Advance(2000);
        ShouldUse(disk, 0);
        Advance(1);
        ShouldUse(disk, 1);
    }

    [Fact]
    public void The_burst_goes_through_at_the_start()
    {
        using VirtioDeviceRig disk = Disk(new RateLimiterOptions(Operations: new TokenBucketOptions(1, 1000, 3)));
        for (int i = 0; i < 6; i++)
        {
            Read(disk);
        }

        ShouldUse(disk, 4);
        Advance(1000);
        ShouldUse(disk, 1);
    }

    [Fact]
    public void Writes_and_ranges_count_and_flushes_and_the_serial_do_not()
    {
        using VirtioDeviceRig disk = Disk(Operations(4));
        Request(disk, Out, 0, new byte[512], 0).Status.Should().Be(Ok);
        Request(disk, Discard, 0, Range(0, 1, 0), 0).Status.Should().Be(Ok);
        Request(disk, WriteZeroes, 0, Range(0, 1, 0), 0).Status.Should().Be(Ok);
        for (int i = 0; i < 10; i++)
        {
            Request(disk, Flush, 0, [], 0).Status.Should().Be(Ok);
            Request(disk, GetId, 0, [], 20).Status.Should().Be(Ok);
            Request(disk, In, 1UL << 50, [], 512).Status.Should().Be(IoError, "what asks nothing of the back-end is not limited either");
        }

        Read(disk);
        Read(disk);
        ShouldUse(disk, 1);
    }

    [Fact]
    public void A_flush_goes_through_where_the_bucket_is_empty()
    {
        using VirtioDeviceRig disk = Disk(Operations(1));
        Read(disk);
        ShouldUse(disk, 1);
        Request(disk, Flush, 0, [], 0).Status.Should().Be(Ok);
    }

    [Fact]
    public void Queues_share_the_limit()
    {
        using VirtioDeviceRig disk = Disk(Operations(1), queues: 2);
        Read(disk, queue: 0);
        Read(disk, queue: 1);
        Eventually.Holds(() => Used(disk) == 1, "one has it");
        Thread.Sleep(30);
        Used(disk).Should().Be(1);
        Advance(1000);
        Eventually.Holds(() => Used(disk) == 2, "the other gets it");
    }

    [Fact]
    public void A_driver_that_notifies_again_and_again_gets_no_more()
    {
        using VirtioDeviceRig disk = Disk(Operations(2));
        for (int i = 0; i < 4; i++)
        {
            Read(disk);
        }

        for (int i = 0; i < 1000; i++)
        {
            disk.Signal();
        }

        ShouldUse(disk, 2);
        Advance(500);
        ShouldUse(disk, 1);
    }

    [Theory]
    [MemberData(nameof(Rings))]
    public void A_queue_that_waits_is_stopped_at_once_and_goes_on_where_it_was(ulong ring)
    {
        using VirtioDeviceRig disk = Disk(Operations(2), ring: ring);
        for (int i = 0; i < 5; i++)
        {
            Read(disk);
        }

        ShouldUse(disk, 2);
        var watch = Stopwatch.StartNew();
        VirtqueueState state = disk.Device.StopQueue(0)!;
        watch.Elapsed.Should().BeLessThan(Soon);
        state.AvailableIndex.Should().Be(state.UsedIndex, "what waits was not taken");

        Advance(1000);
        disk.StartQueue(0, state);
        ShouldUse(disk, 2);
        Advance(500);
        ShouldUse(disk, 1);
    }

    [Fact]
    public void A_reset_is_at_once_and_gives_no_tokens_back()
    {
        using VirtioDeviceRig disk = Disk(Operations(1));
        Read(disk);
        Read(disk);
        ShouldUse(disk, 1);
        var watch = Stopwatch.StartNew();
        disk.Device.Reset();
        watch.Elapsed.Should().BeLessThan(Soon);

        disk.Drivers.Clear();
        disk.Vectors.Clear();
        disk.Start();
        Read(disk);
        ShouldUse(disk, 0);
        Advance(1000);
        ShouldUse(disk, 1);
    }

    [Fact]
    public void A_pause_is_at_once_and_nothing_is_in_flight()
    {
        using VirtioDeviceRig disk = Disk(Operations(1));
        Read(disk);
        Read(disk);
        ShouldUse(disk, 1);
        disk.Device.TryDrain(Soon).Should().BeTrue();
        Advance(5000);
        ShouldUse(disk, 0);
        disk.Device.Resume();
        ShouldUse(disk, 1);
    }

    [Fact]
    public void A_request_that_takes_its_time_does_not_wait_for_the_next_ones_turn()
    {
        var backend = new HeldBlockBackend(hasQueues: true);
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(backend, Options(Operations(1)))).Start();
        Read(disk);
        Read(disk);
        backend.WaitArrived(1);
        backend.Held.TryDequeue(out BlockRequest? request).Should().BeTrue();
        backend.End(request!, BlockStatus.Ok);
        ShouldUse(disk, 1);
        backend.Held.Should().BeEmpty();
        Advance(1000);
        backend.WaitArrived(1);
        backend.Held.TryDequeue(out request).Should().BeTrue();
        backend.End(request!, BlockStatus.Ok);
        ShouldUse(disk, 1);
    }

    [Fact]
    public void By_the_systems_clock_all_of_them_complete()
    {
        var options = new BlockDeviceOptions { RateLimiter = new RateLimiterOptions(Operations: new TokenBucketOptions(5, 5)) };
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(Backend(), options)).Start();
        for (int i = 0; i < 50; i++)
        {
            Read(disk);
        }

        for (int i = 0; i < 50; i++)
        {
            disk.WaitUsed();
        }
    }

    [Fact]
    public void A_card_sends_as_many_packets_as_the_limit_has()
    {
        var backend = new FakeNetBackend();
        using VirtioDeviceRig net = Net(backend, Operations(2));
        for (int i = 0; i < 5; i++)
        {
            net.Drivers[Transmit].Add(Readable(net.Ram.Place(new byte[72]), 72));
        }

        net.Kick(Transmit);
        ShouldUse(net, 2, Transmit);
        long reads = _clock.Reads;
        Thread.Sleep(30);
        _clock.Reads.Should().Be(reads, "nobody asks the limit again and again");
        backend.Sent.Should().HaveCount(2);
        for (int i = 0; i < 3; i++)
        {
            Advance(500);
            ShouldUse(net, 1, Transmit);
        }

        backend.Sent.Should().HaveCount(5);
    }

    [Fact]
    public void A_card_counts_the_bytes_of_frames()
    {
        var backend = new FakeNetBackend();
        using VirtioDeviceRig net = Net(backend, new RateLimiterOptions(new TokenBucketOptions(120, 1000)));
        for (int i = 0; i < 3; i++)
        {
            net.Drivers[Transmit].Add(Readable(net.Ram.Place(new byte[72]), 72));
        }

        net.Kick(Transmit);
        ShouldUse(net, 2, Transmit);
        Advance(9);
        ShouldUse(net, 1, Transmit);
    }

    [Fact]
    public void Packets_that_are_over_the_limit_wait_with_the_back_end_which_is_not_looked_at()
    {
        var backend = new FakeNetBackend();
        using VirtioDeviceRig net = Net(backend, Operations(2));
        for (int i = 0; i < 8; i++)
        {
            net.Drivers[Receive].Add(Writable(net.Ram.Allocate(2000), 2000));
        }

        net.Kick(Receive);
        for (int i = 0; i < 5; i++)
        {
            backend.Arrive(new byte[100]);
        }

        ShouldUse(net, 2, Receive);
        backend.Waiting.Should().Be(3);
        long reads = _clock.Reads;
        int looks = backend.Looks;
        Thread.Sleep(30);
        backend.Looks.Should().Be(looks);
        _clock.Reads.Should().Be(reads, "nobody asks the limit again and again");
        for (int i = 0; i < 3; i++)
        {
            Advance(500);
            ShouldUse(net, 1, Receive);
        }

        ((NetDevice)net.Device).ReceiveDropped.Should().Be(0);
    }

    [Fact]
    public void Receiving_and_sending_have_as_much_each()
    {
        var backend = new FakeNetBackend();
        using VirtioDeviceRig net = Net(backend, Operations(1));
        net.Drivers[Receive].Add(Writable(net.Ram.Allocate(2000), 2000));
        net.Kick(Receive);
        backend.Arrive(new byte[100]);
        ShouldUse(net, 1, Receive);
        net.Drivers[Transmit].Add(Readable(net.Ram.Place(new byte[72]), 72));
        net.Kick(Transmit);
        ShouldUse(net, 1, Transmit);
    }

    [Fact]
    public void A_card_that_waits_is_reset_at_once()
    {
        var backend = new FakeNetBackend();
        using VirtioDeviceRig net = Net(backend, Operations(1));
        for (int i = 0; i < 3; i++)
        {
            net.Drivers[Receive].Add(Writable(net.Ram.Allocate(2000), 2000));
            net.Drivers[Transmit].Add(Readable(net.Ram.Place(new byte[72]), 72));
            backend.Arrive(new byte[100]);
        }

        net.Kick(Receive);
        net.Kick(Transmit);
        ShouldUse(net, 1, Transmit);
        ShouldUse(net, 1, Receive);
        var watch = Stopwatch.StartNew();
        net.Device.Reset();
        watch.Elapsed.Should().BeLessThan(Soon);
        Advance(5000);
        backend.Sent.Should().HaveCount(1);
    }

    [Fact]
    public void A_limit_that_no_device_can_have_is_refused()
    {
        var limit = new RateLimiterOptions(new TokenBucketOptions(-1, 1));
        FluentActions.Invoking(() => new BlockDevice(Backend(), Options(limit))).Should().Throw<ArgumentException>();
        var options = new NetDeviceOptions { RateLimiter = limit };
        FluentActions.Invoking(() => new NetDevice(new FakeNetBackend(), options)).Should().Throw<ArgumentException>();
    }

    private static RateLimiterOptions Operations(int size) => new(Operations: new TokenBucketOptions(size, 1000));

    private static SubmittedBlockBackend Backend() => new(static request => request.Complete(BlockStatus.Ok));

    private BlockDeviceOptions Options(RateLimiterOptions limit, int queues = 1) =>
        new() { RateLimiter = limit, Time = _clock, QueueCount = queues };

    private VirtioDeviceRig Disk(RateLimiterOptions limit, int queues = 1, ulong ring = 0)
    {
        var device = new BlockDevice(Backend(), Options(limit, queues));
        return new VirtioDeviceRig(device, features: device.OfferedFeatures | ring).Start();
    }

    private VirtioDeviceRig Net(FakeNetBackend backend, RateLimiterOptions limit) =>
        new VirtioDeviceRig(new NetDevice(backend, new NetDeviceOptions { RateLimiter = limit, Time = _clock })).Start();

    private static void Read(VirtioDeviceRig disk, int length = 512, int queue = 0)
    {
        ulong room = disk.Ram.Allocate((ulong)length + 1);
        disk.Drivers[queue].Add(Readable(disk.Ram.Place(Header(In, 0)), 16), Writable(room, (uint)length + 1));
        disk.Kick(queue);
    }

    /// <summary>So many more are used, by interrupt, and then no more as long as the clock stands still.</summary>
    private static void ShouldUse(VirtioDeviceRig rig, int count, int queue = 0)
    {
        for (int i = 0; i < count; i++)
        {
            rig.WaitUsed(queue);
        }

        Thread.Sleep(30);
        rig.Drivers[queue].HasUsed.Should().BeFalse($"{count} are within the limit");
    }

    private static long Used(VirtioDeviceRig disk) =>
        ((BlockDevice)disk.Device).Counters.Single(static counter => counter.Name == "read_ops").Value;

    private void Advance(int milliseconds) => _time.Advance(TimeSpan.FromMilliseconds(milliseconds));

    /// <summary>Counts how often it is looked at.</summary>
    private sealed class CountingTime(ManualTime time) : TimeProvider
    {
        private long _reads;

        public long Reads => Interlocked.Read(ref _reads);

        public override long TimestampFrequency => time.TimestampFrequency;

        public override long GetTimestamp()
        {
            Interlocked.Increment(ref _reads);
            return time.GetTimestamp();
        }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            time.CreateTimer(callback, state, dueTime, period);
    }
}
