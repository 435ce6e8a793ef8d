using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Interop;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>A network card on a real tap: the host's network stack at one end, a driver's rings at the other.</summary>
public sealed class TapInterfaceTests
{
    private const int Receive = 0;
    private const int Transmit = 1;
    private const int WithHeader = Tap.IFF_TAP | Tap.IFF_NO_PI | Tap.IFF_VNET_HDR;
    private static readonly IPAddress HostAddress = IPAddress.Parse("198.18.77.1");
    private static readonly IPAddress GuestAddress = IPAddress.Parse("198.18.77.2");
    private static readonly IPAddress Mask = IPAddress.Parse("255.255.255.0");
    private static readonly byte[] GuestMac = [0x52, 0x54, 0, 1, 2, 3];

    [TapFact]
    public void Packets_cross_between_the_host_s_stack_and_the_rings() => NetworkNamespace.Run(() =>
    {
        using var tap = TapInterface.Open("vmmtest0", HostAddress, Mask);
        var device = new NetDevice(tap, new NetDeviceOptions { Mac = MacAddress.FromBytes(GuestMac) });
        using VirtioDeviceRig net = new VirtioDeviceRig(device).Start();
        ulong[] buffers = Post(net, Receive);
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 10_000 };
        socket.Bind(new IPEndPoint(HostAddress, 4000));
        byte[] sent = new byte[1000];
        new Random(1).NextBytes(sent);
        socket.SendTo(sent, new IPEndPoint(GuestAddress, 5000));

        // The host asks who has the address; the answer brings the packet, which takes several buffers.
        byte[] hostMac = new byte[6];
        byte[]? received = null;
        while (received is null)
        {
            byte[] frame = TakeFrame(net, buffers);
            ushort type = BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(12));
            if (type == 0x0806 && frame[21] == 1)
            {
                frame.AsSpan(6, 6).CopyTo(hostMac);
                Send(net, [.. new byte[12], .. ArpReply(hostMac)]);
            }
            else if (type == 0x0800 && frame[23] == 17)
            {
                received = frame[(14 + 20 + 8)..];
            }
        }

        received.Should().Equal(sent);

        // A packet with a partial checksum, as an offloading driver sends it: the host's stack finishes it.
        byte[] text = "from the guest"u8.ToArray();
        byte[] header = new byte[12];
        header[0] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(6), 14 + 20);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(8), 6);
        Send(net, [.. header, .. UdpFrame(hostMac, text)]);
        byte[] reply = new byte[100];
        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        int length = socket.ReceiveFrom(reply, ref from);
        reply[..length].Should().Equal(text);
        from.Should().Be(new IPEndPoint(GuestAddress, 5000));
        device.TransmitDropped.Should().Be(0);
        net.ResetReasons.Should().BeEmpty();
    });

    [TapFact]
    public void A_malformed_header_is_dropped_and_the_card_goes_on() => NetworkNamespace.Run(() =>
    {
        using var tap = TapInterface.Open("vmmtest0");
        var device = new NetDevice(tap);
        using VirtioDeviceRig net = new VirtioDeviceRig(device).Start();
        byte[] packet = new byte[200];
        packet[0] = 1;
        packet[1] = 0x7f;
        packet[6] = 0xff;
        packet[7] = 0xff;
        Send(net, packet);
        device.TransmitDropped.Should().Be(1);
        packet.AsSpan(0, 12).Clear();
        Send(net, packet);
        device.TransmitDropped.Should().Be(1);
        net.ResetReasons.Should().BeEmpty();
    });

    [TapFact]
    public void A_tap_in_use_is_refused_and_free_again_after_disposal() => NetworkNamespace.Run(() =>
    {
        using (TapInterface.Open("vmmtest1"))
        {
            Refused("vmmtest1", "vmmtest1*in use*").Errno.Should().Be(16);
        }

        TapInterface.Open("vmmtest1").Dispose();
        Refused("lo", "lo*not a tap*");
    });

    [TapFact]
    public void Packets_of_a_flow_come_to_the_pair_that_sends_it() => NetworkNamespace.Run(() =>
    {
        const int Pairs = 4;
        var device = new NetDevice(
            TapInterface.OpenQueues("vmmtest2", Pairs, HostAddress, Mask), new NetDeviceOptions { Mac = MacAddress.FromBytes(GuestMac) });
        using VirtioDeviceRig net = new VirtioDeviceRig(device).Start();
        ulong[][] buffers = new ulong[Pairs][];
        for (int pair = 0; pair < Pairs; pair++)
        {
            buffers[pair] = Post(net, 2 * pair);
        }

        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 10_000 };
        socket.Bind(new IPEndPoint(HostAddress, 4000));
        byte[] hostMac = LearnHostMac(net, socket, buffers[0]);

        // Before the driver asks for more pairs everything comes to the first.
        Send(net, [.. new byte[12], .. UdpFrame(hostMac, "one"u8.ToArray(), plain: true)], 3);
        Echo(socket, "one");
        TakeUdp(net, 0, buffers[0]).Should().Equal("one"u8.ToArray());

        foreach (int pair in new[] { 2, 1, 3, 0 })
        {
            UsePairs(net, Pairs).Should().Be(0);
            byte[] text = [.. "through "u8, (byte)('0' + pair)];
            Send(net, [.. new byte[12], .. UdpFrame(hostMac, text, plain: true)], (2 * pair) + 1);
            Echo(socket, System.Text.Encoding.ASCII.GetString(text));
            TakeUdp(net, 2 * pair, buffers[pair]).Should().Equal(text);
        }

        UsePairs(net, 1).Should().Be(0);
        Send(net, [.. new byte[12], .. UdpFrame(hostMac, "last"u8.ToArray(), plain: true)], 7);
        Echo(socket, "last");
        TakeUdp(net, 0, buffers[0]).Should().Equal("last"u8.ToArray());
        net.ResetReasons.Should().BeEmpty();
    });

    [TapFact]
    public void A_tap_with_several_queues_in_use_is_refused_and_free_again_after_disposal() => NetworkNamespace.Run(() =>
    {
        IReadOnlyList<TapInterface> queues = TapInterface.OpenQueues("vmmtest3", 2);
        RefusedQueues("vmmtest3", "vmmtest3*in use*").Errno.Should().Be(16);
        Refused("vmmtest3", "vmmtest3*several queues*");
        foreach (TapInterface queue in queues)
        {
            queue.Dispose();
        }

        // A process that another test is just starting may hold the descriptors for a moment more.
        Eventually.Holds(() => TryOpenQueues("vmmtest3"), "the tap is free");
        RefusedQueues("lo", "lo*not a tap*");
    });

    [TapFact]
    public void Taps_that_a_user_made_are_used_as_they_are() => NetworkNamespace.Run(() =>
    {
        RunIp("tuntap", "add", "vmmtest4", "mode", "tap", "multi_queue");
        RunIp("tuntap", "add", "vmmtest5", "mode", "tap");
        for (int round = 0; round < 2; round++)
        {
            foreach (TapInterface queue in TapInterface.OpenQueues("vmmtest4", 3))
            {
                queue.Dispose();
            }

            TapInterface.Open("vmmtest5").Dispose();
        }

        RefusedQueues("vmmtest5", "vmmtest5*single queue*multi_queue*");
        Refused("vmmtest4", "vmmtest4*several queues*");
    });

    [TapFact]
    public void A_tap_that_is_deleted_takes_the_carrier_with_it() => NetworkNamespace.Run(() =>
    {
        var device = new NetDevice(TapInterface.OpenQueues("vmmtest6", 2));
        using VirtioDeviceRig net = new VirtioDeviceRig(device).Start();
        Post(net, Receive);
        device.LinkUp.Should().BeTrue();
        RunIp("link", "delete", "vmmtest6");
        Eventually.Holds(() => !device.LinkUp, "the interface is gone");
        UsePairs(net, 2).Should().Be(1, "there are no queues to attach any more");
        net.ResetReasons.Should().BeEmpty();
    });

    [TapFact]
    public void A_tap_that_is_open_is_taken_again_and_again() => NetworkNamespace.Run(() =>
    {
        using SafeFileHandle tap = OpenTap("vmmtest7", WithHeader);
        RunIp("address", "add", $"{HostAddress}/24", "dev", "vmmtest7");
        RunIp("link", "set", "vmmtest7", "up");
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 10_000 };
        socket.Bind(new IPEndPoint(HostAddress, 4000));
        for (int round = 0; round < 3; round++)
        {
            TapInterface queue = TapInterface.TakeQueues([tap]).Should().ContainSingle().Subject;
            queue.Name.Should().Be("vmmtest7");
            var device = new NetDevice(queue, new NetDeviceOptions { Mac = MacAddress.FromBytes(GuestMac) });
            using VirtioDeviceRig net = new VirtioDeviceRig(device).Start();
            ulong[] buffers = Post(net, Receive);
            RunIp("neighbour", "flush", "dev", "vmmtest7");
            byte[] hostMac = LearnHostMac(net, socket, buffers);
            Send(net, [.. new byte[12], .. UdpFrame(hostMac, "round"u8.ToArray(), plain: true)]);
            Echo(socket, "round");
            TakeUdp(net, Receive, buffers).Should().Equal("round"u8.ToArray());
            net.ResetReasons.Should().BeEmpty();
        }

        tap.IsClosed.Should().BeFalse("it stays its owner's");
    });

    [TapFact]
    public void The_queues_of_a_tap_that_is_open_are_taken_again_and_again() => NetworkNamespace.Run(() =>
    {
        const int Pairs = 3;
        SafeFileHandle[] taps = [.. Enumerable.Range(0, Pairs).Select(static _ => OpenTap("vmmtest8", WithHeader | Tap.IFF_MULTI_QUEUE))];
        RunIp("address", "add", $"{HostAddress}/24", "dev", "vmmtest8");
        RunIp("link", "set", "vmmtest8", "up");
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 10_000 };
        socket.Bind(new IPEndPoint(HostAddress, 4000));
        for (int round = 0; round < 3; round++)
        {
            var device = new NetDevice(TapInterface.TakeQueues(taps), new NetDeviceOptions { Mac = MacAddress.FromBytes(GuestMac) });
            using VirtioDeviceRig net = new VirtioDeviceRig(device).Start();
            ulong[][] buffers = [.. Enumerable.Range(0, Pairs).Select(pair => Post(net, 2 * pair))];
            RunIp("neighbour", "flush", "dev", "vmmtest8");
            byte[] hostMac = LearnHostMac(net, socket, buffers[0]);
            for (int pair = Pairs - 1; pair >= 0; pair--)
            {
                UsePairs(net, Pairs).Should().Be(0);
                byte[] text = [.. "through "u8, (byte)('0' + pair)];
                Send(net, [.. new byte[12], .. UdpFrame(hostMac, text, plain: true)], (2 * pair) + 1);
                Echo(socket, System.Text.Encoding.ASCII.GetString(text));
                TakeUdp(net, 2 * pair, buffers[pair]).Should().Equal(text);
            }

            net.ResetReasons.Should().BeEmpty();
        }

        Array.ForEach(taps, static tap => tap.Dispose());
    });

    [TapFact]
    public void What_is_no_tap_with_a_virtio_header_is_refused_and_stays_open() => NetworkNamespace.Run(() =>
    {
        using SafeFileHandle single = OpenTap("vmmtest9", WithHeader);
        using SafeFileHandle bare = OpenTap("vmmtest10", Tap.IFF_TAP | Tap.IFF_NO_PI);
        using SafeFileHandle packets = OpenTap("vmmtest12", 0x0001 | Tap.IFF_NO_PI | Tap.IFF_VNET_HDR);
        using SafeFileHandle first = OpenTap("vmmtest13", WithHeader | Tap.IFF_MULTI_QUEUE);
        using SafeFileHandle second = OpenTap("vmmtest14", WithHeader | Tap.IFF_MULTI_QUEUE);
        using SafeFileHandle control = File.OpenHandle("/dev/net/tun", FileMode.Open, FileAccess.ReadWrite);
        using SafeFileHandle file = File.OpenHandle("/dev/null");

        RefusedDescriptors("*virtio header*IFF_VNET_HDR*", bare);
        RefusedDescriptors("*is not a tap*", packets);
        RefusedDescriptors("*is not a tap*", control);
        RefusedDescriptors("*is not a tap*", file);
        RefusedDescriptors("*single queue*IFF_MULTI_QUEUE*", single, single);
        RefusedDescriptors("*vmmtest14*vmmtest13*all have to be of one*", first, second);
        RefusedDescriptors("*cannot be duplicated*errno 9*", new SafeFileHandle(999_999, ownsHandle: false));
        SafeFileHandle closed = File.OpenHandle("/dev/null");
        closed.Dispose();
        FluentActions.Invoking(() => TapInterface.TakeQueues([closed])).Should().Throw<ObjectDisposedException>();
        TapInterface.TakeQueues([single])[0].Dispose();
    });

    [Theory]
    [InlineData("a234567890123456789012345678901234567890", "*40 bytes*at most 15*")]
    [InlineData("a/b", "*not a name*")]
    [InlineData("tap%d", "*not a name*")]
    [InlineData("..", "*not a name*")]
    public void An_impossible_name_is_refused(string name, string message) => Refused(name, message);

    private static BackendException Refused(string name, string message)
    {
        Action open = () => TapInterface.Open(name).Dispose();
        return open.Should().Throw<BackendException>().WithMessage(message).Which;
    }

    private static void RefusedDescriptors(string message, params SafeFileHandle[] descriptors)
    {
        Action take = () => TapInterface.TakeQueues(descriptors);
        take.Should().Throw<BackendException>().WithMessage(message).And.Message.Should().StartWith("fd=");
        descriptors.Should().OnlyContain(static descriptor => !descriptor.IsClosed);
    }

    /// <summary>Attaches to an interface, as a program does that hands it over; reads from it wait.</summary>
    private static unsafe SafeFileHandle OpenTap(string name, int flags)
    {
        const nuint TUNSETIFF = 0x400454ca;
        DescriptorIo.Open("/dev/net/tun", Libc.O_RDWR, out FileDescriptor tun).Should().Be(0);
        byte* request = stackalloc byte[40];
        new Span<byte>(request, 40).Clear();
        System.Text.Encoding.ASCII.GetBytes(name).CopyTo(new Span<byte>(request, 15));
        *(short*)(request + 16) = (short)flags;
        Libc.ErrorOf(Libc.ioctl(tun, TUNSETIFF, (nuint)request)).Should().Be(0);
        int number = tun.Number;
        tun.SetHandleAsInvalid();
        return new SafeFileHandle(number, ownsHandle: true);
    }

    private static BackendException RefusedQueues(string name, string message)
    {
        Action open = () => TapInterface.OpenQueues(name, 2);
        return open.Should().Throw<BackendException>().WithMessage(message).Which;
    }

    private static bool TryOpenQueues(string name)
    {
        try
        {
            foreach (TapInterface queue in TapInterface.OpenQueues(name, 2))
            {
                queue.Dispose();
            }

            return true;
        }
        catch (BackendException)
        {
            return false;
        }
    }

    private static void RunIp(params string[] arguments)
    {
        // A child of this thread is in its network namespace.
        using var process = System.Diagnostics.Process.Start("ip", arguments);
        process.WaitForExit();
        process.ExitCode.Should().Be(0, "ip {0}", string.Join(' ', arguments));
    }

    private static byte UsePairs(VirtioDeviceRig net, ushort pairs)
    {
        int control = net.Drivers.Count - 1;
        ulong answer = net.Ram.Place([0xaa]);
        net.Drivers[control].Add(Readable(net.Ram.Place([4, 0, (byte)pairs, (byte)(pairs >> 8)]), 4), Writable(answer, 1));
        net.Kick(control);
        net.WaitUsed(control);
        return net.Ram.Read<byte>(answer);
    }

    private static ulong[] Post(VirtioDeviceRig net, int queue)
    {
        ulong[] buffers = new ulong[64];
        for (int i = 0; i < buffers.Length; i++)
        {
            buffers[i] = net.Ram.Allocate(256);
            net.Drivers[queue].Add(Writable(buffers[i], 256)).Should().Be((ushort)i);
        }

        net.Kick(queue);
        return buffers;
    }

    /// <summary>Makes the host ask for the guest's address, and answers.</summary>
    private static byte[] LearnHostMac(VirtioDeviceRig net, Socket socket, ulong[] buffers)
    {
        socket.SendTo("who"u8, new IPEndPoint(GuestAddress, 5000));
        byte[] hostMac = new byte[6];
        while (true)
        {
            byte[] frame = TakeFrame(net, buffers);
            ushort type = BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(12));
            if (type == 0x0806 && frame[21] == 1)
            {
                frame.AsSpan(6, 6).CopyTo(hostMac);
                Send(net, [.. new byte[12], .. ArpReply(hostMac)]);
            }
            else if (type == 0x0800 && frame[23] == 17)
            {
                return hostMac;
            }
        }
    }

    private static void Echo(Socket socket, string expected)
    {
        byte[] received = new byte[100];
        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        int length = socket.ReceiveFrom(received, ref from);
        System.Text.Encoding.ASCII.GetString(received, 0, length).Should().Be(expected);
        socket.SendTo(received.AsSpan(0, length), from);
    }

    private static byte[] TakeUdp(VirtioDeviceRig net, int queue, ulong[] buffers)
    {
        while (true)
        {
            // The host says other things as well, of IPv6 for example.
            byte[] frame = TakeFrame(net, buffers, queue);
            if (BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(12)) == 0x0800 && frame[23] == 17)
            {
                return frame[(14 + 20 + 8)..];
            }
        }
    }

    private static byte[] TakeFrame(VirtioDeviceRig net, ulong[] buffers, int queue = Receive)
    {
        byte[] packet = [];
        int count = 1;
        for (int i = 0; i < count; i++)
        {
            (uint id, uint length) = net.WaitUsed(queue);
            packet = [.. packet, .. net.Ram.Read(buffers[id], (int)length)];
            count = i == 0 ? BinaryPrimitives.ReadUInt16LittleEndian(packet.AsSpan(10)) : count;
        }

        return packet[12..];
    }

    private static void Send(VirtioDeviceRig net, byte[] packet, int queue = Transmit)
    {
        net.Drivers[queue].Add(Readable(net.Ram.Place(packet), (uint)packet.Length));
        net.Kick(queue);
        net.WaitUsed(queue);
    }

    private static byte[] ArpReply(byte[] hostMac)
    {
        return
        [
            .. hostMac, .. GuestMac, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2,
            .. GuestMac, .. GuestAddress.GetAddressBytes(), .. hostMac, .. HostAddress.GetAddressBytes(),
        ];
    }

    private static byte[] UdpFrame(byte[] hostMac, byte[] data, bool plain = false)
    {
        byte[] ip =
            [0x45, 0, 0, (byte)(28 + data.Length), 0, 1, 0, 0, 64, 17, 0, 0, .. GuestAddress.GetAddressBytes(), .. HostAddress.GetAddressBytes()];
        BinaryPrimitives.WriteUInt16BigEndian(ip.AsSpan(10), (ushort)~Sum(ip));
        byte[] udp = new byte[8];
        BinaryPrimitives.WriteUInt16BigEndian(udp, 5000);
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(2), 4000);
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(4), (ushort)(8 + data.Length));

        // With NEEDS_CSUM the field holds the sum of the pseudo header; a sum of zero says that there is none.
        byte[] pseudo = [.. ip[12..20], 0, 17, 0, (byte)(8 + data.Length)];
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(6), plain ? (ushort)0 : Sum(pseudo));
        return [.. hostMac, .. GuestMac, 0x08, 0x00, .. ip, .. udp, .. data];
    }

    private static ushort Sum(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0;
        for (int i = 0; i < bytes.Length; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(bytes[i..]);
        }

        while (sum >> 16 != 0)
        {
            sum = (sum & 0xffff) + (sum >> 16);
        }

        return (ushort)sum;
    }
}
