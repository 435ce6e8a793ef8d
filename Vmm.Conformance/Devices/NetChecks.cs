using System;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;

namespace Vmm.Conformance.Devices;

/// <summary>Network devices (virtio 1.2, 5.1).</summary>
internal static class NetChecks
{
    private const VirtioDeviceType Net = VirtioDeviceType.Net;
    private const ulong Mtu = 1UL << 3;
    private const ulong Mac = 1UL << 5;
    private const ulong Mergeable = 1UL << 15;
    private const ulong ControlQueue = 1UL << 17;
    private const ulong ReceiveMode = 1UL << 18;
    private const ulong Pairs = 1UL << 22;
    private const ulong ControlMac = 1UL << 23;

    public static CheckGroup Group { get; } = new("network devices", "virtio 1.2")
    {
        { "NET-TRANSMIT", "5.1.6.2", "Frames are taken, in the order of the queue and all of them", Transmit, Net },
        { "NET-CONTROL", "5.1.6.5", "A command of the receive filters is acknowledged with OK", Control, Net, Need.Virtio, ControlQueue | ReceiveMode },
        { "NET-CONTROL-UNKNOWN", "5.1.6.5", "A command of an unknown class is acknowledged with ERR", ControlUnknown, Net, Need.Virtio, ControlQueue },
        { "NET-CONTROL-AFTER", "5.1.6.5", "Commands go on after one that was refused", ControlAfter, Net, Need.Virtio, ControlQueue | ReceiveMode },
        { "NET-MAC-SET", "5.1.6.5.2", "The address that was set by command reads in device configuration", MacSet, Net, Need.Virtio, ControlQueue | ControlMac | Mac },
        { "NET-MTU", "5.1.4.1", "The MTU is from 68 to 65535", MtuRange, Net, Need.DeviceConfiguration, Mtu },
        { "NET-PAIRS", "5.1.4.1", "max_virtqueue_pairs is from 1 to 0x8000", PairsRange, Net, Need.DeviceConfiguration, Pairs },
        { "NET-RECEIVE", "5.1.6.4.1", "Without mergeable buffers a received frame lies in one buffer, as it was sent", Receive, Net },
        { "NET-RECEIVE-MERGE", "5.1.6.4.1", "With mergeable buffers num_buffers says how many buffers a frame has", ReceiveMerged, Net, Need.Virtio, Mergeable },
    };

    private static void Transmit(CheckContext check)
    {
        using VirtioNetDriver net = Open(check, 0);
        for (int i = 0; i < 300; i++)
        {
            net.Transmit(Frame(60 + i));
        }

        net.WaitTransmitted();
        check.NoteUsed(1);
    }

    private static void Control(CheckContext check)
    {
        using VirtioNetDriver net = Open(check, ControlQueue | ReceiveMode);
        check.Require(net.TrySetPromiscuous(true), "VIRTIO_NET_OK for promiscuous mode", "VIRTIO_NET_ERR");
        check.NoteUsed(net.Driver.Queues[^1].Index);
        check.Require(net.TrySetPromiscuous(false), "VIRTIO_NET_OK for the end of promiscuous mode", "VIRTIO_NET_ERR");
    }

    private static void ControlUnknown(CheckContext check)
    {
        using VirtioNetDriver net = Open(check, ControlQueue);
        check.Require(!net.Control(0xee, 0, [0]), "VIRTIO_NET_ERR for an unknown class", "VIRTIO_NET_OK");
    }

    private static void ControlAfter(CheckContext check)
    {
        using VirtioNetDriver net = Open(check, ControlQueue | ReceiveMode);
        for (int i = 0; i < 20; i++)
        {
            _ = net.Control(0xee, (byte)i, [0]);
            check.Require(net.TrySetPromiscuous(false), "VIRTIO_NET_OK after a command that was refused", "VIRTIO_NET_ERR");
        }
    }

    private static void MacSet(CheckContext check)
    {
        using VirtioNetDriver net = Open(check, ControlQueue | ControlMac | Mac);
        MacAddress before = net.Mac!.Value;
        MacAddress other = before with { Value = before.Value ^ 1 };
        check.Require(net.TrySetMac(other), "VIRTIO_NET_OK for an address", "VIRTIO_NET_ERR");
        MacAddress seen = net.Mac!.Value;
        _ = net.TrySetMac(before);
        check.Require(seen == other, $"{other} in device configuration", seen.ToString());
    }

    private static void MtuRange(CheckContext check)
    {
        using VirtioNetDriver net = Open(check, Mtu);
        ulong mtu = net.Driver.ReadDeviceConfiguration(static field => field(10, 2));
        check.Require(mtu >= 68, "an MTU of 68 at least", CheckContext.Hex(mtu));
    }

    private static void PairsRange(CheckContext check)
    {
        using var driver = VirtioPciDriver.Open(check.Access, new VirtioDriverOptions { RequiredFeatures = Pairs | ControlQueue });
        ulong pairs = driver.ReadDeviceConfiguration(static field => field(8, 2));
        check.Require(pairs is >= 1 and <= 0x8000, "1 to 0x8000 pairs", CheckContext.Hex(pairs));
        check.Require((ulong)driver.DeviceQueues >= (2 * pairs) + 1, $"{(2 * pairs) + 1} queues at least", $"{driver.DeviceQueues}");
    }

    private static void Receive(CheckContext check) => ReceiveFrames(check, 0, Mergeable);

    private static void ReceiveMerged(CheckContext check) => ReceiveFrames(check, Mergeable, 0);

    /// <summary>Only on a network that brings a frame back; others say nothing.</summary>
    private static void ReceiveFrames(CheckContext check, ulong features, ulong refused)
    {
        using VirtioNetDriver net = Open(check, features, refused, features == 0 ? null : 256);

        // What does not fit into all buffers together does not come.
        int most = (net.Driver.Queues[0].Size * (features == 0 ? 2048 : 256)) - 12;
        for (int i = 0; i < 20; i++)
        {
            byte[] frame = Frame(Math.Min(200 + (i * 60), most));
            Random.Shared.NextBytes(frame.AsSpan(14));
            net.Transmit(frame);
            if (!ComesBack(net, frame, i == 0 ? check.Limits.Reply / 10 : check.Limits.Reply))
            {
                check.Require(i == 0, $"a frame of {frame.Length} bytes back as it was sent", "none, or others");
                check.Skip("nothing comes back from the network");
            }

            check.NoteUsed(0);
        }
    }

    /// <summary>Passes over what others sent, or earlier checks.</summary>
    private static bool ComesBack(VirtioNetDriver net, byte[] frame, TimeSpan patience)
    {
        byte[] received = new byte[2048];
        for (int others = 0; others < 1000; others++)
        {
            if (!net.TryReceive(received, patience, out int length))
            {
                return false;
            }

            if (length <= received.Length && received.AsSpan(0, length).SequenceEqual(frame))
            {
                return true;
            }
        }

        return false;
    }

    private static byte[] Frame(int length)
    {
        byte[] frame = new byte[length];
        frame.AsSpan(0, 6).Fill(0xff);
        frame[6] = 0x02;
        (frame[12], frame[13]) = (0x88, 0xb5);
        return frame;
    }

    private static VirtioNetDriver Open(CheckContext check, ulong features, ulong refused = 0, int? receiveBuffer = null)
    {
        var options = new VirtioDriverOptions
        {
            RequiredFeatures = features,
            RefusedFeatures = refused,
            Completion = CompletionMode.Polling,
            Timeout = check.Limits.Reply,
        };
        return VirtioNetDriver.Open(check.Access, options, new NetDriverOptions { BufferSize = 2048, ReceiveBufferSize = receiveBuffer });
    }
}
