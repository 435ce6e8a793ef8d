using System;
using System.Linq;
using System.Threading;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>A network device with several pairs of queues as a driver sees it (virtio 1.2, 5.1.2, 5.1.4, 5.1.6.5.6).</summary>
public sealed class NetQueuePairsTests
{
    private const int Pairs = 4;
    private const int Control = 2 * Pairs;
    private const uint BufferSize = 2000;
    private const ulong ControlQueueFeature = 1UL << 17;
    private const ulong MultiQueue = 1UL << 22;

    private readonly FakeNetBackend[] _backends = [.. Enumerable.Range(0, Pairs).Select(_ => new FakeNetBackend())];

    [Fact]
    [Trait("Behaviour", "VTP-4")]
    public void Several_pairs_are_offered_with_their_number_and_need_the_control_queue()
    {
        using var net = new NetDevice(_backends);
        (net.OfferedFeatures & MultiQueue).Should().Be(MultiQueue);
        net.QueueSizes.Should().HaveCount((2 * Pairs) + 1);
        net.ReadConfiguration(8, 2).Should().Be(Pairs);
        net.AcceptsFeatures(MultiQueue | ControlQueueFeature).Should().BeTrue();
        net.AcceptsFeatures(MultiQueue).Should().BeFalse("MQ requires CTRL_VQ");
    }

    [Fact]
    public void One_pair_is_offered_without_the_feature()
    {
        using var net = new NetDevice(_backends[0]);
        (net.OfferedFeatures & MultiQueue).Should().Be(0);
        net.QueueSizes.Should().HaveCount(3);
        net.ReadConfiguration(8, 2).Should().Be(1);
    }

    [Fact]
    public void A_card_without_back_ends_or_with_too_many_is_a_mistake()
    {
        ((Action)(() => new NetDevice(Array.Empty<INetBackend>()).Dispose())).Should().Throw<ArgumentException>();
        INetBackend[] many = [.. Enumerable.Repeat(_backends[0], 257)];
        ((Action)(() => new NetDevice(many).Dispose())).Should().Throw<ArgumentException>().WithMessage("*256*257*");
    }

    [Fact]
    public void At_first_only_the_first_pair_receives_and_every_pair_the_driver_asks_for_does_then()
    {
        using VirtioDeviceRig net = Start();
        ulong[] places = [.. Enumerable.Range(0, Pairs).Select(pair => Post(net, pair))];
        States().Should().Equal(true, false, false, false);
        _backends[3].Arrive([1, 2, 3]);
        net.Vectors[6].Wait(50).Should().BeFalse();
        _backends[3].Looks.Should().Be(0);

        Use(net, Pairs).Should().Be(0);
        ((NetDevice)net.Device).PairsInUse.Should().Be(Pairs);
        States().Should().Equal(true, true, true, true);
        Take(net, 3, places[3]).Should().Equal(1, 2, 3);
        for (int pair = 0; pair < 3; pair++)
        {
            byte[] frame = [7, (byte)pair];
            _backends[pair].Arrive(frame);
            Take(net, pair, places[pair]).Should().Equal(frame);
        }
    }

    [Fact]
    public void Each_pair_sends_to_its_own_back_end()
    {
        using VirtioDeviceRig net = Start();
        Use(net, Pairs).Should().Be(0);
        for (int pair = 0; pair < Pairs; pair++)
        {
            byte[] packet = [.. new byte[12], (byte)pair];
            Send(net, pair, packet);
            _backends[pair].Sent.Should().ContainSingle().Which.Should().Equal(packet);
        }
    }

    [Fact]
    public void Each_pair_has_a_thread_of_its_own()
    {
        using var release = new ManualResetEventSlim();
        using VirtioDeviceRig net = Start();
        Use(net, Pairs).Should().Be(0);
        _backends[1].Sending = () => release.Wait(20_000);
        net.Drivers[3].Add(Readable(net.Ram.Place(new byte[20]), 20));
        net.Kick(3);
        Send(net, 0, new byte[20]);
        Send(net, 2, new byte[20]);
        net.Drivers[3].HasUsed.Should().BeFalse();
        release.Set();
        net.WaitUsed(3);
    }

    [Fact]
    public void With_fewer_pairs_nothing_comes_into_the_others_and_what_was_posted_stays_theirs()
    {
        using VirtioDeviceRig net = Start();
        Use(net, Pairs).Should().Be(0);
        ulong place = Post(net, 3);
        Use(net, 2).Should().Be(0);
        States().Should().Equal(true, true, false, false);
        _backends[3].Arrive([9]);
        net.Kick(6);
        net.Vectors[6].Wait(50).Should().BeFalse();
        net.Drivers[6].HasUsed.Should().BeFalse();
        Send(net, 3, new byte[20]);
        _backends[3].Sent.Should().ContainSingle("what was in flight has to be completed");

        Use(net, 4).Should().Be(0);
        Take(net, 3, place).Should().Equal(9);
    }

    [Theory]
    [InlineData(new byte[] { 0, 0 })]
    [InlineData(new byte[] { Pairs + 1, 0 })]
    [InlineData(new byte[] { 2, 1 })]
    [InlineData(new byte[] { 2 })]
    [InlineData(new byte[] { 2, 0, 0 })]
    public void Impossible_numbers_are_refused_and_change_nothing(byte[] data)
    {
        using VirtioDeviceRig net = Start();
        Use(net, 3).Should().Be(0);
        Command(net, Control, 4, 0, data).Should().Be(1);
        ((NetDevice)net.Device).PairsInUse.Should().Be(3);
        States().Should().Equal(true, true, true, false);
    }

    [Fact]
    public void Steering_modes_that_were_not_offered_are_refused()
    {
        using VirtioDeviceRig net = Start();
        Command(net, Control, 4, 1, new byte[16]).Should().Be(1, "RSS is not offered");
        Command(net, Control, 4, 2, new byte[16]).Should().Be(1, "HASH_REPORT is not offered");
    }

    [Fact]
    public void Without_the_feature_there_is_one_pair_and_the_control_queue_is_the_third()
    {
        using VirtioDeviceRig net = Start(without: MultiQueue);
        Command(net, 2, 0, 0, [1]).Should().Be(0);
        Command(net, 2, 4, 0, [1, 0]).Should().Be(1);
        ulong place = Post(net, 0);
        _backends[0].Arrive([5]);
        Take(net, 0, place).Should().Equal(5);
        Send(net, 0, new byte[20]);
        States().Should().Equal(true, false, false, false);

        // Queues that do not exist without the feature are left alone.
        net.Drivers[Control].Add(Readable(net.Ram.Place([0, 0, 1]), 3), Writable(net.Ram.Allocate(1), 1));
        net.Kick(Control);
        net.Vectors[Control].Wait(50).Should().BeFalse();
        net.ResetReasons.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "VTP-7")]
    public void A_reset_goes_back_to_one_pair()
    {
        using VirtioDeviceRig net = Start();
        Use(net, Pairs).Should().Be(0);
        net.Device.Reset();
        ((NetDevice)net.Device).PairsInUse.Should().Be(1);
        States().Should().Equal(false, false, false, false);
        net.Device.Start(net.Features, net);
        for (int queue = 0; queue < Control; queue++)
        {
            net.StartQueue(queue, null);
        }

        States().Should().Equal(true, false, false, false);
    }

    [Fact]
    [Trait("Behaviour", "VTP-9")]
    public void While_a_receive_queue_is_reset_its_packets_go_to_others()
    {
        using VirtioDeviceRig net = Start();
        Use(net, 2).Should().Be(0);
        VirtqueueState? state = net.Device.StopQueue(2);
        States().Should().Equal(true, false, false, false);
        Use(net, 3).Should().Be(0);
        States().Should().Equal(true, false, true, false);
        net.StartQueue(2, state);
        States().Should().Equal(true, true, true, false);
        ulong place = Post(net, 1);
        _backends[1].Arrive([4]);
        Take(net, 1, place).Should().Equal(4);
    }

    [Fact]
    public void A_back_end_that_cannot_makes_the_command_fail_whole()
    {
        using VirtioDeviceRig net = Start();
        _backends[2].TakesReceiving = false;
        Use(net, Pairs).Should().Be(1);
        ((NetDevice)net.Device).PairsInUse.Should().Be(1);
        States().Should().Equal(true, false, false, false);
        Use(net, 2).Should().Be(0);
        States().Should().Equal(true, true, false, false);
    }

    [Fact]
    public void A_back_end_that_goes_takes_the_carrier_with_it()
    {
        using VirtioDeviceRig net = Start();
        Use(net, 2).Should().Be(0);
        Post(net, 1);
        net.Device.ReadConfiguration(6, 2).Should().Be(1);
        _backends[1].Leave();
        Eventually.Holds(() => net.Device.ReadConfiguration(6, 2) == 0, "the link is down");
        Eventually.Holds(() => net.ConfigurationChanges == 1, "the driver is told");
        net.ResetReasons.Should().BeEmpty();
    }

    [Fact]
    public void Pairs_change_under_traffic_and_nothing_is_broken_or_late()
    {
        using VirtioDeviceRig net = Start();
        using var stop = new CancellationTokenSource();
        var traffic = new Thread(() =>
        {
            for (int i = 0; !stop.IsCancellationRequested; i++)
            {
                if (_backends[i % Pairs].Waiting < 10)
                {
                    _backends[i % Pairs].Arrive([(byte)(i % Pairs), 1, 2, 3]);
                }
            }
        });
        traffic.Start();
        try
        {
            var random = new Random(5);
            for (int round = 0; round < 300; round++)
            {
                int pairs = random.Next(1, Pairs + 1);
                Use(net, pairs).Should().Be(0);
                for (int pair = 0; pair < Pairs; pair++)
                {
                    // What came before the command was done is there; from now on queues beyond are quiet.
                    Drain(net, pair);
                }

                Thread.Yield();
                for (int pair = pairs; pair < Pairs; pair++)
                {
                    net.Drivers[2 * pair].HasUsed.Should().BeFalse("pair {0} is not in use", pair);
                }

                for (int pair = 0; pair < Pairs; pair++)
                {
                    if (net.Drivers[2 * pair].FreeDescriptors != 0)
                    {
                        Post(net, pair);
                    }
                }
            }
        }
        finally
        {
            stop.Cancel();
            traffic.Join();
        }

        net.ResetReasons.Should().BeEmpty();
        ((NetDevice)net.Device).ReceiveDropped.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VTP-9")]
    public void A_hundred_resets_of_every_queue_with_other_sizes_leave_a_card_that_works()
    {
        using VirtioDeviceRig net = Start();
        var random = new Random(6);
        for (int round = 0; round < 100; round++)
        {
            int inUse = random.Next(1, Pairs + 1);
            Use(net, inUse).Should().Be(0);
            ushort size = (ushort)(32 << random.Next(4));
            foreach (FakeNetBackend backend in _backends)
            {
                backend.Arrive([1, 2, 3, 4]);
            }

            for (int queue = 0; queue < Control; queue++)
            {
                net.Device.StopQueue(queue);
                net.Drivers[queue] = new SplitRingDriver(net.Ram, size, net.Features, queue);
                net.StartQueue(queue, null);
            }

            // What came while no buffers were there comes first, then what is sent now.
            for (int pair = 0; pair < inUse; pair++)
            {
                byte[] frame = [9, (byte)round, (byte)pair, 0];
                while (_backends[pair].Waiting > 0)
                {
                    Take(net, pair, Post(net, pair)).Should().HaveCount(4);
                }

                ulong place = Post(net, pair);
                _backends[pair].Arrive(frame);
                Take(net, pair, place).Should().Equal(frame);
                Send(net, pair, [.. new byte[12], (byte)round]);
                _backends[pair].Sent.TryDequeue(out byte[]? sent).Should().BeTrue();
                sent![12].Should().Be((byte)round);
            }
        }

        net.ResetReasons.Should().BeEmpty();
        ((NetDevice)net.Device).ReceiveDropped.Should().Be(0);
        ((NetDevice)net.Device).TransmitDropped.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VTP-10")]
    public void Each_change_of_the_link_is_announced()
    {
        using VirtioDeviceRig net = Start();
        var device = (NetDevice)net.Device;
        for (int round = 0; round < 100; round++)
        {
            uint version = device.ConfigurationVersion;
            device.LinkUp = round % 2 != 0;
            device.ReadConfiguration(6, 2).Should().Be((ulong)(round % 2));
            device.ConfigurationVersion.Should().NotBe(version);
            net.ConfigurationChanges.Should().Be(round + 1);
            device.LinkUp = round % 2 != 0;
            net.ConfigurationChanges.Should().Be(round + 1, "nothing changed");
        }
    }

    private VirtioDeviceRig Start(ulong without = 0)
    {
        var device = new NetDevice(_backends, new NetDeviceOptions { Id = "net0" });
        return new VirtioDeviceRig(device, features: device.OfferedFeatures & ~without).Start();
    }

    /// <summary>What each back-end was told last.</summary>
    private bool[] States() => [.. _backends.Select(backend => backend.Receiving.LastOrDefault())];

    private static byte Use(VirtioDeviceRig net, int pairs) => Command(net, Control, 4, 0, BitConverter.GetBytes((ushort)pairs));

    private static byte Command(VirtioDeviceRig net, int queue, byte category, byte command, byte[] data)
    {
        ulong answer = net.Ram.Place([0xaa]);
        net.Drivers[queue].Add(
            Readable(net.Ram.Place([category, command]), 2), Readable(net.Ram.Place(data), (uint)data.Length), Writable(answer, 1));
        net.Kick(queue);
        net.WaitUsed(queue).Length.Should().Be(1);
        return net.Ram.Read<byte>(answer);
    }

    private static ulong Post(VirtioDeviceRig net, int pair)
    {
        ulong place = net.Ram.Allocate(BufferSize);
        net.Drivers[2 * pair].Add(Writable(place, BufferSize));
        net.Kick(2 * pair);
        return place;
    }

    private static byte[] Take(VirtioDeviceRig net, int pair, ulong place)
    {
        (_, uint length) = net.WaitUsed(2 * pair);
        return net.Ram.Read(place, (int)length)[12..];
    }

    private static void Drain(VirtioDeviceRig net, int pair)
    {
        while (net.Drivers[2 * pair].TryTakeUsed(out _, out uint length))
        {
            length.Should().Be(16);
        }
    }

    private static void Send(VirtioDeviceRig net, int pair, byte[] packet)
    {
        int queue = (2 * pair) + 1;
        net.Drivers[queue].Add(Readable(net.Ram.Place(packet), (uint)packet.Length));
        net.Kick(queue);
        net.WaitUsed(queue);
    }
}
