using System.Collections.Generic;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Nothing happens that was not negotiated, in either direction (virtio 1.2, 5.1.4.1, 5.1.6.2 and 5.1.6.4).</summary>
[Trait("Behaviour", "VTP-4")]
public sealed class NetNegotiationTests
{
    private const int Receive = 0;
    private const int Transmit = 1;
    private const int Control = 2;
    private const ulong Csum = 1 << 0;
    private const ulong GuestCsum = 1 << 1;
    private const ulong Mtu = 1 << 3;
    private const ulong GuestTso4 = 1 << 7;
    private const ulong GuestTso6 = 1 << 8;
    private const ulong GuestEcn = 1 << 9;
    private const ulong HostTso4 = 1 << 11;
    private const ulong HostTso6 = 1 << 12;
    private const ulong HostEcn = 1 << 13;
    private const ulong MergeableBuffers = 1 << 15;
    private const ulong ControlQueue = 1 << 17;
    private const byte NeedsChecksum = 1;
    private const byte DataValid = 2;
    private const byte Tcp4 = 1;
    private const byte Udp = 3;
    private const byte Tcp6 = 4;
    private const byte UdpL4 = 5;
    private const byte Ecn = 0x80;

    private readonly FakeNetBackend _backend = new();
    private readonly List<ushort> _heads = [];
    private readonly List<ulong> _places = [];

    [Theory]
    [InlineData(0, 0, 0, 0)]
    [InlineData(0, DataValid, 0, 0)]
    [InlineData(0, 0xf8, 0, 0)]
    [InlineData(GuestCsum, NeedsChecksum, 0, NeedsChecksum)]
    [InlineData(GuestCsum, DataValid, 0, DataValid)]
    [InlineData(GuestCsum, 0xff, 0, NeedsChecksum | DataValid)]
    [InlineData(GuestCsum | GuestTso4, NeedsChecksum, Tcp4, NeedsChecksum)]
    [InlineData(GuestCsum | GuestTso6, NeedsChecksum, Tcp6, NeedsChecksum)]
    [InlineData(GuestCsum | GuestTso4 | GuestEcn, NeedsChecksum, Tcp4 | Ecn, NeedsChecksum)]
    public void A_packet_that_the_driver_agreed_to_is_passed_with_the_flags_that_it_knows(ulong features, byte flags, byte gsoType, byte expected)
    {
        using VirtioDeviceRig net = Start(features | MergeableBuffers);
        _backend.Arrive(new byte[100], flags, gsoType);
        byte[] packet = Take(net);
        packet.Should().HaveCount(112);
        packet[0].Should().Be(expected);
        packet[1].Should().Be(gsoType);
    }

    [Theory]
    [InlineData(0, NeedsChecksum, 0)]
    [InlineData(0, NeedsChecksum, Tcp4)]
    [InlineData(GuestCsum, NeedsChecksum, Tcp4)]
    [InlineData(GuestCsum | GuestTso4, NeedsChecksum, Tcp6)]
    [InlineData(GuestCsum | GuestTso6, NeedsChecksum, Tcp4)]
    [InlineData(GuestCsum | GuestTso4, NeedsChecksum, Tcp4 | Ecn)]
    [InlineData(GuestCsum | GuestTso4 | GuestTso6 | GuestEcn, NeedsChecksum, Udp)]
    [InlineData(GuestCsum | GuestTso4 | GuestTso6 | GuestEcn, NeedsChecksum, UdpL4)]
    [InlineData(GuestCsum | GuestTso4 | GuestTso6 | GuestEcn, NeedsChecksum, 0x7f)]
    public void A_packet_that_the_driver_cannot_finish_is_dropped_and_counted(ulong features, byte flags, byte gsoType)
    {
        using VirtioDeviceRig net = Start(features | MergeableBuffers);
        _backend.Arrive(new byte[100], flags, gsoType);
        _backend.Arrive(new byte[60]);
        Take(net).Should().HaveCount(72, "the next packet is the first that is passed");
        ((NetDevice)net.Device).ReceiveDropped.Should().Be(1);
    }

    [Fact]
    public void An_offload_that_the_driver_switched_off_is_not_used_any_more()
    {
        using VirtioDeviceRig net = Start(GuestCsum | (1 << 2) | ControlQueue);
        _backend.Arrive(new byte[100], NeedsChecksum);
        Take(net)[0].Should().Be(NeedsChecksum);
        Command(net, 5, 0, new byte[8]).Should().Be(0);
        _backend.Arrive(new byte[100], NeedsChecksum);
        _backend.Arrive(new byte[60]);
        Take(net).Should().HaveCount(72);
    }

    [Theory]
    [InlineData(1414, 0, 0, true)]
    [InlineData(1415, 0, 0, false)]
    [InlineData(9000, 0, 0, false)]
    [InlineData(1418, 0x8100, 0, true)]
    [InlineData(1419, 0x8100, 0, false)]
    [InlineData(1418, 0x88a8, 0, true)]
    [InlineData(1418, 0x0800, 0, false)]
    [InlineData(9000, 0, Tcp4, true)]
    public void A_packet_above_a_negotiated_mtu_is_not_passed(int length, int etherType, byte gsoType, bool passed)
    {
        var device = new NetDevice(_backend, new NetDeviceOptions { Mtu = 1400 });
        using VirtioDeviceRig net = Start(Mtu | MergeableBuffers | GuestCsum | GuestTso4, device);
        byte[] frame = new byte[length];
        (frame[12], frame[13]) = ((byte)(etherType >> 8), (byte)etherType);
        _backend.Arrive(frame, gsoType != 0 ? NeedsChecksum : (byte)0, gsoType);
        _backend.Arrive(new byte[60]);
        Take(net).Should().HaveCount(passed ? length + 12 : 72);
        device.ReceiveDropped.Should().Be(passed ? 0 : 1);
    }

    [Fact]
    public void An_mtu_that_was_only_offered_binds_nobody()
    {
        using VirtioDeviceRig net = Start(MergeableBuffers, new NetDevice(_backend, new NetDeviceOptions { Mtu = 1400 }));
        _backend.Arrive(new byte[1500]);
        Take(net).Should().HaveCount(1512);
    }

    [Theory]
    [InlineData(1, 1023)]
    [InlineData(500, 600)]
    [InlineData(1023, 1023)]
    [Trait("Behaviour", "VQ-2")]
    public void Buffers_in_many_pieces_are_used_one_after_the_other(int first, int second)
    {
        using VirtioDeviceRig net = Start(RingFeatures.IndirectDescriptors | MergeableBuffers, post: false);
        ulong place = net.Ram.Allocate(1 << 16);
        foreach (int pieces in new[] { first, second })
        {
            uint length = (1000u / (uint)pieces) + 1;
            net.Drivers[Receive].AddIndirect([.. Enumerable.Range(0, pieces).Select(i => Writable(place + ((ulong)i * 32), length))]);
        }

        net.Kick(Receive);
        for (int i = 0; i < 2; i++)
        {
            _backend.Arrive(new byte[100]);
            net.WaitUsed(Receive).Length.Should().Be(112);
        }

        net.ResetReasons.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_buffer_in_more_pieces_than_the_host_reads_into_is_a_broken_ring()
    {
        using VirtioDeviceRig net = Start(RingFeatures.IndirectDescriptors | MergeableBuffers, post: false);
        ulong place = net.Ram.Allocate(1024);
        net.Drivers[Receive].AddIndirect([.. Enumerable.Range(0, 1024).Select(i => Writable(place + (ulong)i, 1))]);
        net.Kick(Receive);
        net.WaitNeedsReset().Should().Contain("too many pieces");
    }

    [Theory]
    [InlineData(0, 0, 0, 0)]
    [InlineData(0, DataValid | 0x40, 0, 0)]
    [InlineData(Csum, NeedsChecksum | DataValid | 0x40, 0, NeedsChecksum)]
    [InlineData(Csum | HostTso4, NeedsChecksum, Tcp4, NeedsChecksum)]
    [InlineData(Csum | HostTso6, NeedsChecksum, Tcp6, NeedsChecksum)]
    [InlineData(Csum | HostTso6 | HostEcn, NeedsChecksum, Tcp6 | Ecn, NeedsChecksum)]
    public void A_sent_packet_has_the_flags_that_were_negotiated(ulong features, byte flags, byte gsoType, byte expected)
    {
        using VirtioDeviceRig net = Start(features);
        Send(net, flags, gsoType);
        _backend.Sent.TryDequeue(out byte[]? sent).Should().BeTrue();
        sent.Should().Equal([expected, gsoType, .. Rest()]);
    }

    [Theory]
    [InlineData(0, NeedsChecksum, 0)]
    [InlineData(0, 0, Tcp4)]
    [InlineData(Csum, NeedsChecksum, Tcp4)]
    [InlineData(Csum | HostTso4, NeedsChecksum, Tcp6)]
    [InlineData(Csum | HostTso4, NeedsChecksum, Tcp4 | Ecn)]
    [InlineData(Csum | HostTso4 | HostTso6 | HostEcn, NeedsChecksum, Udp)]
    [InlineData(Csum | HostTso4 | HostTso6 | HostEcn, NeedsChecksum, UdpL4)]
    public void A_sent_packet_that_asks_for_more_is_dropped_and_counted(ulong features, byte flags, byte gsoType)
    {
        using VirtioDeviceRig net = Start(features);
        Send(net, flags, gsoType);
        _backend.Sent.Should().BeEmpty();
        ((NetDevice)net.Device).TransmitDropped.Should().Be(1);
    }

    [Fact]
    public void Commands_of_features_that_were_not_negotiated_are_refused()
    {
        using VirtioDeviceRig net = Start(ControlQueue);
        Command(net, 0, 0, [1]).Should().Be(1, "CTRL_RX");
        Command(net, 0, 1, [1]).Should().Be(1, "CTRL_RX");
        Command(net, 1, 0, new byte[8]).Should().Be(1, "CTRL_RX");
        Command(net, 1, 1, [2, 1, 2, 3, 4, 5]).Should().Be(1, "CTRL_MAC_ADDR");
        Command(net, 4, 0, [1, 0]).Should().Be(1, "MQ");
        Command(net, 5, 0, new byte[8]).Should().Be(1, "CTRL_GUEST_OFFLOADS");
    }

    [Fact]
    public void Without_a_control_queue_nobody_serves_its_index()
    {
        using VirtioDeviceRig net = Start(0);
        net.Drivers[Control].Add(Readable(net.Ram.Place([0, 0, 1]), 3), Writable(net.Ram.Allocate(1), 1));
        net.Kick(Control);

        // The worker of the pair would serve it as well: it has looked at its queues when a packet came through.
        Send(net, 0, 0);
        net.Device.StopQueue(Control)!.AvailableIndex.Should().Be(0);
    }

    [Fact]
    public void A_carrier_that_the_driver_does_not_follow_interrupts_nobody()
    {
        using VirtioDeviceRig net = Start(0);
        ((NetDevice)net.Device).LinkUp = false;
        net.ConfigurationChanges.Should().Be(0);
        net.Device.ReadConfiguration(6, 2).Should().Be(0);
    }

    private static byte[] Rest() => [.. Enumerable.Range(2, 98).Select(i => (byte)i)];

    private static void Send(VirtioDeviceRig net, byte flags, byte gsoType)
    {
        net.Drivers[Transmit].Add(Readable(net.Ram.Place([flags, gsoType, .. Rest()]), 100));
        net.Kick(Transmit);
        net.WaitUsed(Transmit);
    }

    private static byte Command(VirtioDeviceRig net, byte category, byte command, byte[] data)
    {
        ulong answer = net.Ram.Place([0xaa]);
        net.Drivers[Control].Add(Readable(net.Ram.Place([category, command, .. data]), (uint)data.Length + 2), Writable(answer, 1));
        net.Kick(Control);
        net.WaitUsed(Control);
        return net.Ram.Read<byte>(answer);
    }

    private VirtioDeviceRig Start(ulong features, NetDevice? device = null, bool post = true)
    {
        VirtioDeviceRig net = new VirtioDeviceRig(device ?? new NetDevice(_backend), features: features).Start();
        if (post)
        {
            for (int i = 0; i < 2; i++)
            {
                _places.Add(net.Ram.Allocate(70_000));
                _heads.Add(net.Drivers[Receive].Add(Writable(_places[i], 70_000)));
            }

            net.Kick(Receive);
        }

        return net;
    }

    private byte[] Take(VirtioDeviceRig net)
    {
        (uint id, uint length) = net.WaitUsed(Receive);
        return net.Ram.Read(_places[_heads.IndexOf((ushort)id)], (int)length);
    }
}
