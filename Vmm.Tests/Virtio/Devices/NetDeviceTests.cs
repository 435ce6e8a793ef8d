using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>The network device as a driver sees it (virtio 1.2, 5.1).</summary>
public sealed class NetDeviceTests
{
    private const int Receive = 0;
    private const int Transmit = 1;
    private const int Control = 2;
    private const ulong MergeableBuffers = 1UL << 15;
    private const ulong GuestTso4 = 1UL << 7;

    private readonly FakeNetBackend _backend = new();

    [Fact]
    public void Packets_are_sent_with_their_header_in_any_framing()
    {
        using VirtioDeviceRig net = Start();
        var random = new Random(1);
        for (int i = 0; i < 200; i++)
        {
            byte[] packet = Frame(random.Next(13, 3000), i);
            (packet[0], packet[1]) = i % 2 == 0 ? ((byte)0, (byte)0) : ((byte)1, (byte)4);
            ulong place = net.Ram.Place(packet);
            uint first = (uint)random.Next(1, packet.Length - 1);
            uint second = (uint)random.Next(0, packet.Length - (int)first);
            net.Drivers[Transmit].Add(
                Readable(place, first), Readable(place + first, second), Readable(place + first + second, (uint)packet.Length - first - second));
            net.Kick(Transmit);
            net.WaitUsed(Transmit).Length.Should().Be(0);
            _backend.Sent.TryDequeue(out byte[]? sent).Should().BeTrue();
            sent.Should().Equal(packet);
        }
    }

    [Fact]
    public void What_cannot_be_sent_is_dropped_and_counted_and_its_buffer_comes_back()
    {
        using VirtioDeviceRig net = Start();
        ulong place = net.Ram.Allocate(1 << 17);
        foreach (uint length in new uint[] { 1, 11, 12, 65536 + 26 })
        {
            net.Drivers[Transmit].Add(Readable(place, length));
            net.Kick(Transmit);
            net.WaitUsed(Transmit);
        }

        ((NetDevice)net.Device).TransmitDropped.Should().Be(4);
        _backend.Sent.Should().BeEmpty();
        _backend.TakesPackets = false;
        net.Drivers[Transmit].Add(Readable(place, 100));
        net.Kick(Transmit);
        net.WaitUsed(Transmit);
        ((NetDevice)net.Device).TransmitDropped.Should().Be(5);
        net.ResetReasons.Should().BeEmpty();
    }

    [Fact]
    public void A_packet_spreads_over_as_many_buffers_as_it_needs()
    {
        using VirtioDeviceRig net = Start();
        var random = new Random(2);
        Dictionary<ushort, (ulong Place, uint Length)> posted = [];
        for (int i = 0; i < 300; i++)
        {
            while (net.Drivers[Receive].FreeDescriptors >= 2 && posted.Count < 100)
            {
                Post(net, posted, (uint)random.Next(12, 2000));
            }

            net.Kick(Receive);
            byte[] frame = Frame(random.Next(1, i % 10 == 0 ? 65000 : 3000), i);
            _backend.Arrive(frame);
            TakePacket(net, posted).Should().Equal(frame);
        }

        ((NetDevice)net.Device).ReceiveDropped.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VQ-5")]
    public void Without_buffers_packets_wait_in_the_back_end_which_is_not_looked_at()
    {
        using VirtioDeviceRig net = Start();
        byte[] frame = Frame(1000, 3);
        _backend.Arrive(frame);
        net.Vectors[Receive].Wait(50).Should().BeFalse();
        int looks = _backend.Looks;
        looks.Should().BeLessThan(3);
        _backend.Waiting.Should().Be(1);
        net.Vectors[Receive].Wait(50).Should().BeFalse();
        _backend.Looks.Should().Be(looks, "nothing spins");
        Dictionary<ushort, (ulong Place, uint Length)> posted = [];
        Post(net, posted, 2000);
        net.Kick(Receive);
        TakePacket(net, posted).Should().Equal(frame);
    }

    [Fact]
    public void A_packet_larger_than_what_is_posted_waits_for_more_buffers_and_none_is_lost()
    {
        using VirtioDeviceRig net = Start();
        byte[] frame = Frame(20000, 4);
        Dictionary<ushort, (ulong Place, uint Length)> posted = [];
        Post(net, posted, 1500);
        net.Kick(Receive);
        _backend.Arrive(frame);
        Eventually.Holds(() => _backend.Waiting == 0, "the packet is taken");
        for (int i = 0; i < 13; i++)
        {
            net.Drivers[Receive].HasUsed.Should().BeFalse();
            Post(net, posted, 1500);
            net.Kick(Receive);
        }

        TakePacket(net, posted).Should().Equal(frame);
        ((NetDevice)net.Device).ReceiveDropped.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VQ-6")]
    public void Stopping_while_a_packet_waits_gives_every_buffer_back()
    {
        using VirtioDeviceRig net = Start();
        Dictionary<ushort, (ulong Place, uint Length)> posted = [];
        for (int i = 0; i < 3; i++)
        {
            Post(net, posted, 1500);
        }

        net.Kick(Receive);
        _backend.Arrive(Frame(20000, 5));
        Eventually.Holds(() => _backend.Waiting == 0, "the packet is taken");
        VirtqueueState state = net.Device.StopQueue(Receive)!;
        state.AvailableIndex.Should().Be(0);
        state.UsedIndex.Should().Be(0);
        net.StartQueue(Receive, state);
        byte[] frame = Frame(3000, 6);
        _backend.Arrive(frame);
        TakePacket(net, posted).Should().Equal(frame);
    }

    [Fact]
    public void A_packet_that_fits_into_no_buffer_is_dropped_and_the_next_one_comes()
    {
        using VirtioDeviceRig net = Start(MergeableBuffers | GuestTso4 | (1 << 8) | (1 << 9));
        Dictionary<ushort, (ulong Place, uint Length)> posted = [];
        Post(net, posted, 1526);
        Post(net, posted, 1526);
        net.Kick(Receive);
        _backend.Arrive(Frame(1515, 7));
        byte[] frame = Frame(1514, 8);
        _backend.Arrive(frame);
        TakePacket(net, posted).Should().Equal(frame);
        ((NetDevice)net.Device).ReceiveDropped.Should().Be(1);
    }

    [Fact]
    public void Large_packets_are_done_without_where_the_whole_queue_is_too_short_for_one()
    {
        using VirtioDeviceRig net = Start(queueSize: 32);
        const NetOffloads All = NetOffloads.Checksum | NetOffloads.Tso4 | NetOffloads.Tso6 | NetOffloads.TsoEcn;
        Dictionary<ushort, (ulong Place, uint Length)> posted = [];
        for (int i = 0; i < 16; i++)
        {
            Post(net, posted, 1536);
        }

        net.Kick(Receive);
        byte[] frame = Frame(16000, 9);
        _backend.Arrive(frame);
        TakePacket(net, posted).Should().Equal(frame);
        _backend.Offloads.Should().Equal([All], "this one found room");
        while (posted.Count < 16)
        {
            Post(net, posted, 1000);
        }

        net.Kick(Receive);
        _backend.Arrive(Frame(60000, 10));
        frame = Frame(1514, 11);
        _backend.Arrive(frame);
        TakePacket(net, posted).Should().Equal(frame);
        ((NetDevice)net.Device).ReceiveDropped.Should().Be(1);
        _backend.Offloads.Should().Equal(All, NetOffloads.Checksum);

        Command(net, 5, 0, BitConverter.GetBytes((1UL << 1) | GuestTso4)).Should().Be(0);
        _backend.Offloads[^1].Should().Be(NetOffloads.Checksum | NetOffloads.Tso4, "the driver asks again");
    }

    [Fact]
    [Trait("Behaviour", "VTP-16")]
    public void A_buffer_without_room_is_a_broken_ring()
    {
        using VirtioDeviceRig net = Start();
        net.Drivers[Receive].Add(Readable(net.Ram.Allocate(64), 64));
        net.Kick(Receive);
        net.WaitNeedsReset().Should().Contain("without room");
        _backend.Arrive(Frame(60, 1));
        net.Device.StopQueue(Receive);
    }

    [Fact]
    public void Offloads_follow_the_features_and_the_control_queue()
    {
        using VirtioDeviceRig net = Start();
        const NetOffloads All = NetOffloads.Checksum | NetOffloads.Tso4 | NetOffloads.Tso6 | NetOffloads.TsoEcn;
        _backend.Offloads.Should().Equal(All);
        Command(net, 5, 0, BitConverter.GetBytes(1UL << 1)).Should().Be(0);
        _backend.Offloads.Should().Equal(All, NetOffloads.Checksum);
        Command(net, 5, 0, BitConverter.GetBytes(0UL)).Should().Be(0);
        _backend.Offloads[^1].Should().Be(NetOffloads.None);
        Command(net, 5, 0, BitConverter.GetBytes(GuestTso4)).Should().Be(1, "segmentation needs checksums");
        Command(net, 5, 0, BitConverter.GetBytes(1UL << 15)).Should().Be(1, "that is no offload");
        Command(net, 5, 0, [1, 2]).Should().Be(1);
        Command(net, 5, 0, BitConverter.GetBytes((1UL << 1) | GuestTso4)).Should().Be(0);
        _backend.Offloads[^1].Should().Be(NetOffloads.Checksum | NetOffloads.Tso4);
        _backend.Offloads.Should().HaveCount(4);
    }

    [Fact]
    public void The_control_queue_takes_modes_filters_and_an_address()
    {
        using VirtioDeviceRig net = Start();
        Command(net, 0, 0, [1]).Should().Be(0);
        Command(net, 0, 1, [0]).Should().Be(0);
        Command(net, 0, 5, [0]).Should().Be(1, "RX_EXTRA is not offered");
        Command(net, 1, 1, [2, 1, 2, 3, 4, 5]).Should().Be(0);
        ((NetDevice)net.Device).Mac.ToString().Should().Be("02:01:02:03:04:05");
        net.Device.ReadConfiguration(5, 1).Should().Be(5);
        Command(net, 1, 1, [3, 1, 2, 3, 4, 5]).Should().Be(1, "a group address is not a card's");
        Command(net, 1, 1, [2, 1, 2]).Should().Be(1);
        Command(net, 1, 0, [1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 0, 0, 0, 0]).Should().Be(0);
        Command(net, 1, 0, [2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 0, 0, 0, 0]).Should().Be(1);
        Command(net, 1, 0, [255, 255, 255, 255, 0, 0, 0, 0]).Should().Be(1);
        Command(net, 4, 0, [1, 0]).Should().Be(1, "MQ is not offered");
        Command(net, 77, 0, []).Should().Be(1);
        net.Device.Reset();
        ((NetDevice)net.Device).Mac.ToString().Should().Be("52:54:00:12:34:56");
    }

    [Fact]
    [Trait("Behaviour", "VTP-4")]
    public void Features_depend_on_each_other_as_specified()
    {
        using var net = new NetDevice(_backend);
        net.AcceptsFeatures(net.OfferedFeatures).Should().BeTrue();
        net.AcceptsFeatures(0).Should().BeTrue();
        net.AcceptsFeatures(GuestTso4).Should().BeFalse();
        net.AcceptsFeatures(GuestTso4 | (1 << 1)).Should().BeTrue();
        net.AcceptsFeatures(1 << 9).Should().BeFalse("GUEST_ECN without GUEST_TSO");
        net.AcceptsFeatures(1 << 11).Should().BeFalse("HOST_TSO4 without CSUM");
        net.AcceptsFeatures((1 << 13) | 1).Should().BeFalse("HOST_ECN without HOST_TSO");
        net.AcceptsFeatures(1 << 18).Should().BeFalse("CTRL_RX without CTRL_VQ");
        net.AcceptsFeatures(1 << 23).Should().BeFalse("CTRL_MAC_ADDR without CTRL_VQ");
    }

    [Fact]
    public void The_configuration_is_laid_out_as_specified()
    {
        MacAddress.TryParse("52:54:00:12:34:56", out MacAddress mac).Should().BeTrue();
        using VirtioDeviceRig net = new VirtioDeviceRig(new NetDevice(_backend, new NetDeviceOptions { Mac = mac, Mtu = 9000 })).Start();
        net.Device.ReadConfiguration(0, 4).Should().Be(0x12005452);
        net.Device.ReadConfiguration(4, 2).Should().Be(0x5634);
        net.Device.ReadConfiguration(6, 2).Should().Be(1, "the link is up");
        net.Device.ReadConfiguration(8, 2).Should().Be(1, "one pair of queues");
        net.Device.ReadConfiguration(10, 2).Should().Be(9000);
        (net.Features & (1 << 3)).Should().NotBe(0);
        ((NetDevice)net.Device).LinkUp = false;
        net.Device.ReadConfiguration(6, 2).Should().Be(0);
        net.ConfigurationChanges.Should().Be(1);
    }

    [Theory]
    [InlineData("52:54:00:12:34:56", true)]
    [InlineData("52:54:00:12:34", false)]
    [InlineData("52:54:00:12:34:5", false)]
    [InlineData("52:54:00:12:34:5g", false)]
    [InlineData("52-54-00-12-34-56", false)]
    [InlineData("", false)]
    [InlineData(null, false)]
    public void Addresses_are_read_and_written(string? text, bool valid)
    {
        MacAddress.TryParse(text, out MacAddress mac).Should().Be(valid);
        if (valid)
        {
            mac.ToString().Should().Be(text);
        }

        MacAddress.CreateRandom().IsUnicast.Should().BeTrue();
    }

    private VirtioDeviceRig Start(ulong without = 0, ushort queueSize = 256)
    {
        var mac = new MacAddress(0x525400123456);
        var device = new NetDevice(_backend, new NetDeviceOptions { Id = "net0", Mac = mac, QueueSize = queueSize });
        return new VirtioDeviceRig(device, features: device.OfferedFeatures & ~without).Start();
    }

    private static byte Command(VirtioDeviceRig net, byte category, byte command, byte[] data)
    {
        ulong answer = net.Ram.Place([0xaa]);
        net.Drivers[Control].Add(
            Readable(net.Ram.Place([category, command]), 2), Readable(net.Ram.Place(data), (uint)data.Length), Writable(answer, 1));
        net.Kick(Control);
        net.WaitUsed(Control).Length.Should().Be(1);
        return net.Ram.Read<byte>(answer);
    }

    private static void Post(VirtioDeviceRig net, Dictionary<ushort, (ulong Place, uint Length)> posted, uint length)
    {
        ulong place = net.Ram.Allocate(length);
        uint first = length / 3;
        ushort head = net.Drivers[Receive].Add(Writable(place, first), Writable(place + first, length - first));
        posted[head] = (place, length);
    }

    private static byte[] TakePacket(VirtioDeviceRig net, Dictionary<ushort, (ulong Place, uint Length)> posted)
    {
        List<byte> packet = [];
        int buffers = 1;
        for (int i = 0; i < buffers; i++)
        {
            (uint id, uint length) = i == 0 ? net.WaitUsed(Receive) : Next(net);
            (ulong place, uint room) = posted[(ushort)id];
            posted.Remove((ushort)id);
            packet.AddRange(net.Ram.Read(place, (int)length));
            if (i == 0)
            {
                buffers = BinaryPrimitives.ReadUInt16LittleEndian(packet.ToArray().AsSpan(10));
            }

            (i == buffers - 1 || length == room).Should().BeTrue("all but the last buffer are full");
        }

        return [.. packet.Skip(12)];
    }

    private static (uint Id, uint Length) Next(VirtioDeviceRig net)
    {
        net.Drivers[Receive].TryTakeUsed(out uint id, out uint length).Should().BeTrue("the buffers of a packet appear together");
        return (id, length);
    }

    private static byte[] Frame(int length, int seed)
    {
        byte[] frame = new byte[length];
        new Random(seed).NextBytes(frame);
        return frame;
    }
}
