using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Net;
using System.Net.Sockets;
using Vmm.Virtio.Devices;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Many packets over a real tap: all of a flow arrive, in order, by an io_uring and without one.</summary>
[Trait("Behaviour", "IO-3")]
public sealed class TapBatchTests
{
    private const int Receive = 0;
    private const int Transmit = 1;
    private const int Packets = 200;
    private const int Data = 12 + 14 + 20 + 8;
    private static readonly IPAddress HostAddress = IPAddress.Parse("198.18.78.1");
    private static readonly IPAddress GuestAddress = IPAddress.Parse("198.18.78.2");
    private static readonly IPAddress Mask = IPAddress.Parse("255.255.255.0");
    private static readonly byte[] GuestMac = [0x52, 0x54, 0, 1, 2, 3];

    [TapFact]
    public void Packets_keep_their_order_by_an_io_uring() => Exchange(byRing: true);

    [TapFact]
    public void Packets_keep_their_order_by_a_system_call_each() => Exchange(byRing: false);

    [TapFact]
    public void A_tap_that_is_deleted_takes_the_carrier_with_it_while_packets_are_sent_in_batches() => NetworkNamespace.Run(() =>
    {
        var device = new NetDevice(TapInterface.Open("vmmbatch1"));
        using VirtioDeviceRig net = new VirtioDeviceRig(device).Start();
        using (var ip = System.Diagnostics.Process.Start("ip", ["link", "delete", "vmmbatch1"]))
        {
            ip.WaitForExit();
            ip.ExitCode.Should().Be(0);
        }

        ulong place = net.Ram.Place(new byte[100]);
        for (int i = 0; i < 20; i++)
        {
            net.Drivers[Transmit].Add(Readable(place, 100));
        }

        net.Kick(Transmit);
        for (int i = 0; i < 20; i++)
        {
            net.WaitUsed(Transmit);
        }

        device.TransmitDropped.Should().Be(20);
        net.ResetReasons.Should().BeEmpty();
    });

    private static void Exchange(bool byRing) => NetworkNamespace.Run(() =>
    {
        var tap = TapInterface.Open("vmmbatch0", HostAddress, Mask);
        if (!byRing)
        {
            tap.DoWithoutRing();
        }

        var device = new NetDevice(tap, new NetDeviceOptions { Mac = MacAddress.FromBytes(GuestMac), QueueSize = 512 });
        using VirtioDeviceRig net = new VirtioDeviceRig(device).Start();
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp)
        {
            ReceiveTimeout = 10_000,
            ReceiveBufferSize = 1 << 20,
        };
        socket.Bind(new IPEndPoint(HostAddress, 4000));
        Neighbour();

        // To the guest: all of them wait in the tap before there is a buffer.
        for (int i = 0; i < Packets; i++)
        {
            socket.SendTo(Text(i), new IPEndPoint(GuestAddress, 5000));
        }

        var buffers = new Dictionary<uint, ulong>();
        for (int i = 0; i < 400; i++)
        {
            ulong place = net.Ram.Allocate(1536);
            buffers[net.Drivers[Receive].Add(Writable(place, 1536))] = place;
        }

        net.Kick(Receive);
        byte[] hostMac = new byte[6];
        for (int i = 0; i < Packets;)
        {
            (uint id, uint length) = net.WaitUsed(Receive);
            byte[] packet = net.Ram.Read(buffers[id], (int)length);

            // The host says other things as well, of IPv6 for example.
            if (BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(12 + 12)) == 0x0800 && packet[12 + 14 + 9] == 17)
            {
                packet[Data..].Should().Equal(Text(i), "this is packet {0}", i);
                packet.AsSpan(12 + 6, 6).CopyTo(hostMac);
                i++;
            }
        }

        for (int i = 0; i < Packets; i++)
        {
            byte[] packet = Datagram(hostMac, Text(i));
            net.Drivers[Transmit].Add(Readable(net.Ram.Place(packet), (uint)packet.Length));
        }

        net.Kick(Transmit);
        byte[] received = new byte[2000];
        for (int i = 0; i < Packets; i++)
        {
            received[..socket.Receive(received)].Should().Equal(Text(i), "this is packet {0}", i);
        }

        (device.TransmitDropped, device.ReceiveDropped).Should().Be((0, 0));
        net.ResetReasons.Should().BeEmpty();
    });

    /// <summary>Lets the host know the guest's address, so that nothing waits for an answer.</summary>
    private static void Neighbour()
    {
        string mac = MacAddress.FromBytes(GuestMac).ToString();
        using var ip = System.Diagnostics.Process.Start("ip", ["neigh", "replace", GuestAddress.ToString(), "lladdr", mac, "dev", "vmmbatch0"]);
        ip.WaitForExit();
        ip.ExitCode.Should().Be(0);
    }

    /// <summary>Of a length and content of its own.</summary>
    private static byte[] Text(int number)
    {
        byte[] text = new byte[20 + (number * 7 % 1400)];
        new Random(number).NextBytes(text);
        return text;
    }

    /// <summary>A UDP datagram from the guest without a checksum, behind a header that asks for nothing.</summary>
    private static byte[] Datagram(byte[] hostMac, byte[] data)
    {
        byte[] ip = new byte[20];
        (ip[0], ip[8], ip[9]) = (0x45, 64, 17);
        BinaryPrimitives.WriteUInt16BigEndian(ip.AsSpan(2), (ushort)(28 + data.Length));
        GuestAddress.GetAddressBytes().CopyTo(ip, 12);
        HostAddress.GetAddressBytes().CopyTo(ip, 16);
        uint sum = 0;
        for (int i = 0; i < ip.Length; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(ip.AsSpan(i));
        }

        sum = (sum & 0xffff) + (sum >> 16);
        BinaryPrimitives.WriteUInt16BigEndian(ip.AsSpan(10), (ushort)~(sum + (sum >> 16)));
        byte[] udp = new byte[8];
        BinaryPrimitives.WriteUInt16BigEndian(udp, 5000);
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(2), 4000);
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(4), (ushort)(8 + data.Length));
        return [.. new byte[12], .. hostMac, .. GuestMac, 0x08, 0x00, .. ip, .. udp, .. data];
    }
}
