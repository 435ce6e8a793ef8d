using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Packets that are there together go together, none is lost, and their order stays (IO-3, IO-4).</summary>
[Trait("Behaviour", "IO-3")]
public sealed class NetBatchTests
{
    private const int Receive = 0;
    private const int Transmit = 1;
    private const uint BufferSize = 1536;
    private const ulong MergeableBuffers = 1UL << 15;

    private readonly FakeNetBackend _fake = new();
    private readonly BatchRecorder _backend;

    public NetBatchTests() => _backend = new BatchRecorder(_fake);

    [Fact]
    [Trait("Behaviour", "IO-4")]
    public void What_was_made_available_together_is_sent_together_and_told_of_once()
    {
        using VirtioDeviceRig net = Start();
        byte[][] packets = [.. Enumerable.Range(0, 60).Select(i => Packet(100 + i, i))];
        List<ushort> heads = [.. packets.Select(packet => Add(net, packet))];
        net.Kick(Transmit);
        heads.ForEach(head => net.WaitUsed(Transmit).Should().Be(((uint)head, 0U)));
        _fake.Sent.Should().BeEquivalentTo(packets, static options => options.WithStrictOrdering());
        _backend.Sent.Should().Equal((60, packets.Sum(static packet => (long)packet.Length)));
        net.Vectors[Transmit].Count.Should().Be(1);
    }

    [Fact]
    public void More_than_go_together_are_sent_in_order()
    {
        using VirtioDeviceRig net = Start();
        byte[][] packets = [.. Enumerable.Range(0, 250).Select(i => Packet(50, i))];
        foreach (byte[] packet in packets)
        {
            Add(net, packet);
        }

        net.Kick(Transmit);
        Array.ForEach(packets, _ => net.WaitUsed(Transmit));
        _fake.Sent.Should().BeEquivalentTo(packets, static options => options.WithStrictOrdering());
        _backend.Sent.Select(static batch => batch.Packets).Should().Equal(64, 64, 64, 58);
    }

    [Fact]
    public void What_cannot_be_sent_takes_nothing_else_with_it()
    {
        using VirtioDeviceRig net = Start();
        var expected = new List<byte[]>();
        for (int i = 0; i < 30; i++)
        {
            byte[] packet = Packet(60, i);
            packet[1] = (byte)(i % 3 == 0 ? 0x7f : 0);
            Add(net, packet);
            if (packet[1] == 0)
            {
                expected.Add(packet);
            }
        }

        net.Kick(Transmit);
        for (int i = 0; i < 30; i++)
        {
            net.WaitUsed(Transmit);
        }

        _fake.Sent.Should().BeEquivalentTo(expected, static options => options.WithStrictOrdering());
        ((NetDevice)net.Device).TransmitDropped.Should().Be(10);
    }

    [Fact]
    public void A_batch_in_which_nothing_can_be_sent_is_returned()
    {
        using VirtioDeviceRig net = Start();
        byte[] packet = Packet(60, 1);
        packet[1] = 0x7f;
        Add(net, packet);
        Add(net, packet);
        net.Kick(Transmit);
        net.WaitUsed(Transmit);
        net.WaitUsed(Transmit);
        ((NetDevice)net.Device).TransmitDropped.Should().Be(2);
        _backend.Sent.Should().BeEmpty();
    }

    [Fact]
    public void What_the_back_end_does_not_take_of_a_batch_is_counted()
    {
        using VirtioDeviceRig net = Start();
        _fake.TakesPackets = false;
        for (int i = 0; i < 10; i++)
        {
            Add(net, Packet(60, i));
        }

        net.Kick(Transmit);
        for (int i = 0; i < 10; i++)
        {
            net.WaitUsed(Transmit);
        }

        ((NetDevice)net.Device).TransmitDropped.Should().Be(10);
    }

    [Fact]
    public void A_batch_has_little_more_than_a_mebibyte()
    {
        using VirtioDeviceRig net = Start();
        ulong place = net.Ram.Place(new byte[65000]);
        for (int i = 0; i < 40; i++)
        {
            net.Drivers[Transmit].Add(Readable(place, 65000));
        }

        net.Kick(Transmit);
        for (int i = 0; i < 40; i++)
        {
            net.WaitUsed(Transmit);
        }

        _backend.Sent.Sum(static batch => batch.Packets).Should().Be(40);
        _backend.Sent.Should().OnlyContain(static batch => batch.Bytes < (1 << 20) + 65000);
    }

    [Fact]
    public void Packets_of_many_pieces_go_together_as_far_as_there_is_place()
    {
        using VirtioDeviceRig net = Start(queueSize: 4096);
        ulong place = net.Ram.Place(Packet(1010, 1));
        const int Pieces = 1000;
        for (int i = 0; i < 4; i++)
        {
            net.Drivers[Transmit].Add([.. Enumerable.Range(0, Pieces).Select(k => Readable(place + (ulong)k, 1)), Readable(place + Pieces, 22)]);
        }

        net.Kick(Transmit);
        for (int i = 0; i < 4; i++)
        {
            net.WaitUsed(Transmit);
        }

        byte[] packet = net.Ram.Read(place, 1022);
        _fake.Sent.Should().BeEquivalentTo(Enumerable.Repeat(packet, 4), static options => options.WithStrictOrdering());
        _backend.Sent.Select(static batch => batch.Packets).Should().Equal(2, 2);
    }

    [Fact]
    public void Small_packets_are_taken_in_growing_batches()
    {
        using VirtioDeviceRig net = Start();
        Dictionary<uint, ulong> buffers = Post(net, 250);
        byte[][] frames = ArriveThenKick(net, Enumerable.Repeat(700, 200));
        foreach (byte[] frame in frames)
        {
            Take(net, buffers, out int count).Should().Equal(frame);
            count.Should().Be(1);
        }

        _backend.Rooms.Should().Contain(32).And.OnlyContain(static rooms => rooms >= 1 && rooms <= 32);
        _backend.Rooms.Count.Should().BeLessThan(60);
        ((NetDevice)net.Device).ReceiveDropped.Should().Be(0);
    }

    [Fact]
    public void A_large_packet_among_small_ones_keeps_its_place()
    {
        using VirtioDeviceRig net = Start();
        Dictionary<uint, ulong> buffers = Post(net, 250);
        var random = new Random(3);
        byte[][] frames = ArriveThenKick(net, Enumerable.Range(0, 120).Select(i => i % 50 == 45 ? 20000 : random.Next(1, 1500)));
        foreach (byte[] frame in frames)
        {
            Take(net, buffers, out _).Should().Equal(frame);
        }

        _backend.Rooms.Should().Contain(static rooms => rooms > 1);
        ((NetDevice)net.Device).ReceiveDropped.Should().Be(0);
    }

    [Fact]
    public void A_large_packet_that_has_to_wait_for_buffers_keeps_those_behind_it_back()
    {
        using VirtioDeviceRig net = Start();
        Dictionary<uint, ulong> buffers = Post(net, 60);
        byte[][] frames = ArriveThenKick(net, Enumerable.Range(0, 60).Select(static i => i == 50 ? 30000 : 500));
        foreach (byte[] frame in frames[..50])
        {
            Take(net, buffers, out _).Should().Equal(frame);
        }

        net.Drivers[Receive].HasUsed.Should().BeFalse("ten buffers are left");
        Post(net, 60).ToList().ForEach(posted => buffers[posted.Key] = posted.Value);
        net.Kick(Receive);
        foreach (byte[] frame in frames[50..])
        {
            Take(net, buffers, out _).Should().Equal(frame);
        }
    }

    [Fact]
    public void Packets_that_may_not_be_passed_are_dropped_out_of_a_batch()
    {
        using VirtioDeviceRig net = Start();
        Dictionary<uint, ulong> buffers = Post(net, 200);
        var expected = new List<byte[]>();
        for (int i = 0; i < 100; i++)
        {
            byte[] frame = Packet(300 + i, i)[12..];
            bool bad = i % 30 == 25;
            _fake.Arrive(frame, gsoType: bad ? (byte)0x7f : (byte)0);
            if (!bad)
            {
                expected.Add(frame);
            }
        }

        net.Kick(Receive);
        expected.ForEach(frame => Take(net, buffers, out _).Should().Equal(frame));
        Eventually.Holds(() => ((NetDevice)net.Device).ReceiveDropped == 3, "each is counted");
    }

    [Fact]
    public void Without_merged_buffers_each_packet_has_one_and_what_does_not_fit_is_dropped()
    {
        const ulong Segmentation = (1 << 7) | (1 << 8) | (1 << 9);
        using VirtioDeviceRig net = Start(without: MergeableBuffers | Segmentation);
        Dictionary<uint, ulong> buffers = Post(net, 200);
        byte[][] frames = ArriveThenKick(net, Enumerable.Range(0, 100).Select(static i => i % 40 == 30 ? 1525 : 1500));
        foreach (byte[] frame in frames.Where(static frame => frame.Length == 1500))
        {
            Take(net, buffers, out int count).Should().Equal(frame);
            count.Should().Be(1);
        }

        _backend.Rooms.Should().Contain(static rooms => rooms > 1);
        ((NetDevice)net.Device).ReceiveDropped.Should().Be(2);
    }

    [Fact]
    public void Packets_that_wait_in_host_memory_when_the_queue_stops_count_as_dropped()
    {
        using VirtioDeviceRig net = Start();
        Dictionary<uint, ulong> buffers = Post(net, 60);
        byte[][] frames = ArriveThenKick(net, Enumerable.Range(0, 60).Select(static i => i == 50 ? 30000 : 500));
        foreach (byte[] frame in frames[..50])
        {
            Take(net, buffers, out _).Should().Equal(frame);
        }

        Eventually.Holds(() => _fake.Waiting < 10, "the large one is taken");
        net.Device.StopQueue(Receive)!.AvailableIndex.Should().Be(50, "every other buffer is given back");
        (((NetDevice)net.Device).ReceiveDropped + _fake.Waiting).Should().Be(10);
    }

    [Fact]
    [Trait("Behaviour", "MEM-5")]
    public void Whatever_a_batch_writes_is_marked()
    {
        using var ram = new GuestRam((0, 1 << 21));
        using VirtioDeviceRig net = Start(ram: ram);
        Dictionary<uint, ulong> buffers = Post(net, 200);
        var check = new DirtyCheck(ram, 1 << 21);
        byte[][] frames = ArriveThenKick(net, Enumerable.Range(0, 100).Select(static i => i % 40 == 30 ? 9000 : 900));
        foreach (byte[] frame in frames)
        {
            Take(net, buffers, out _).Should().Equal(frame);
        }

        net.Device.StopQueue(Receive);
        (HashSet<int> marked, List<int> changed) = check.End();
        RingDriver driver = net.Drivers[Receive];
        changed.RemoveAll(address => (ulong)address >= driver.Driver && (ulong)address < driver.Driver + 6 + (2 * 256));
        changed.Should().NotBeEmpty().And.BeSubsetOf(marked, "the available ring is the driver's, all else the device's");
    }

    private VirtioDeviceRig Start(ulong without = 0, ushort queueSize = 256, GuestRam? ram = null)
    {
        var device = new NetDevice(_backend, new NetDeviceOptions { QueueSize = queueSize });
        return new VirtioDeviceRig(device, ram, device.OfferedFeatures & ~without, ownsRam: ram is null).Start();
    }

    private static ushort Add(VirtioDeviceRig net, byte[] packet) =>
        net.Drivers[Transmit].Add(Readable(net.Ram.Place(packet), (uint)packet.Length));

    private static Dictionary<uint, ulong> Post(VirtioDeviceRig net, int count)
    {
        var buffers = new Dictionary<uint, ulong>();
        for (int i = 0; i < count; i++)
        {
            ulong place = net.Ram.Allocate(BufferSize);
            buffers[net.Drivers[Receive].Add(Writable(place, BufferSize))] = place;
        }

        return buffers;
    }

    private byte[][] ArriveThenKick(VirtioDeviceRig net, IEnumerable<int> lengths)
    {
        byte[][] frames = [.. lengths.Select(static (length, i) => Packet(length, i)[12..])];
        Array.ForEach(frames, frame => _fake.Arrive(frame));
        net.Kick(Receive);
        return frames;
    }

    private static byte[] Take(VirtioDeviceRig net, Dictionary<uint, ulong> buffers, out int count)
    {
        byte[] packet = [];
        count = 1;
        for (int i = 0; i < count; i++)
        {
            (uint id, uint length) = net.WaitUsed(Receive);
            packet = [.. packet, .. net.Ram.Read(buffers[id], (int)length)];
            count = i == 0 ? BinaryPrimitives.ReadUInt16LittleEndian(packet.AsSpan(10)) : count;
        }

        return packet[12..];
    }

    /// <summary>A header that asks for nothing, and random bytes.</summary>
    private static byte[] Packet(int length, int seed)
    {
        byte[] packet = new byte[12 + length];
        new Random(seed).NextBytes(packet.AsSpan(12));
        return packet;
    }
}
