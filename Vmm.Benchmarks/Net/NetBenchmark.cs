using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;
using System.Text.Json;
using Vmm.Benchmarks.Harness;
using Vmm.Virtio.Devices;

namespace Vmm.Benchmarks.Net;

/// <summary><c>net [--quick] [FOLDER]</c>: packets over a tap, both ways: processor time of the card's worker beside that of bare C loops.</summary>
/// <remarks>
/// Needs root and a network namespace of its own. The host drops what is sent (it is for another station) and so costs as little as it can; that
/// it costs the sender's time is in the nature of a tap. What is received waits in the tap before the first of it is taken. Ours and the loops
/// alternate; of the samples the lower quartile is shown, because what else the machine does only adds.
/// </remarks>
internal static class NetBenchmark
{
    private const string OurTap = "bench0";
    private const string FloorTap = "floor0";
    private const int HeaderSize = 12;
    private const int SegmentSize = 1448;
    private const int MergeableBuffer = 1536;

    /// <summary>Measures, prints, and writes net.json and net.md.</summary>
    /// <returns>The exit code.</returns>
    public static int Run(ReadOnlySpan<string> words)
    {
        bool quick = words.Contains("--quick");
        string folder = words.Length > 0 && words[^1] != "--quick" ? words[^1] : "artifacts";
        if (!CLibrary.HasCompiler || !File.Exists("/dev/net/tun"))
        {
            Console.WriteLine($"skipped: {(CLibrary.HasCompiler ? "no /dev/net/tun" : "no gcc")} here");
            return 0;
        }

        // Interfaces without an address of their own say nothing by themselves.
        const string Ipv6 = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
        if (File.Exists(Ipv6))
        {
            File.WriteAllText(Ipv6, "1");
        }

        int samples = quick ? 40 : 200;
        using var c = new NetLoop(room: 70_000);
        List<NetResult> results =
        [
            Send(c, "send, 64 bytes", Packet(64), 1024, samples),
            Send(c, "send, 1,500 bytes", Packet(1500), 1024, samples),
            Send(c, "send, 64 KiB unsegmented", Packet(54 + (45 * SegmentSize)), NetLoop.Batch, samples),
            Receive(c, "receive, 64 bytes", Packet(64), 256, samples),
            Receive(c, "receive, 1,500 bytes", Packet(1500), 256, samples),
            Receive(c, "receive, 64 KiB unsegmented", Packet(54 + (45 * SegmentSize)), 16, samples),
        ];
        string table = Table(results);
        Console.Write(table);
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "net.json"), JsonSerializer.Serialize(results, NetResultJson.Default.ListNetResult) + "\n");
        File.WriteAllText(Path.Combine(folder, "net.md"), table);
        return 0;
    }

    private static NetResult Send(NetLoop c, string name, byte[] packet, int count, int samples)
    {
        using var floor = TapInterface.Open(FloorTap);
        using var card = NetCard.Sending(TapInterface.Open(OurTap), packet, (ushort)Math.Min(count, 256));
        floor.SetOffloads(NetOffloads.Checksum | NetOffloads.Tso4);
        return Measure(
            name,
            samples,
            count,
            () => c.Send(floor.Descriptor, packet, count, byRing: false),
            () => c.Send(floor.Descriptor, packet, count, byRing: true),
            () => OfWorker(c, card, () => card.Send(count), count));
    }

    private static NetResult Receive(NetLoop c, string name, byte[] packet, int count, int samples)
    {
        int buffers = (packet.Length + MergeableBuffer - 1) / MergeableBuffer;
        using var floor = TapInterface.Open(FloorTap);
        using var card = NetCard.Receiving(TapInterface.Open(OurTap), MergeableBuffer, queueSize: 1024);
        floor.SetOffloads(NetOffloads.Checksum | NetOffloads.Tso4);
        int ours = c.OpenSender(OurTap);
        int theirs = c.OpenSender(FloorTap);
        return Measure(name, samples, count, () => FromFloor(false), () => FromFloor(true), () =>
        {
            c.Inject(ours, packet, count);
            return OfWorker(c, card, () => card.Take(count, buffers), count);
        });

        double FromFloor(bool byRing)
        {
            c.Inject(theirs, packet, count);
            return c.Receive(floor.Descriptor, count, byRing);
        }
    }

    private static (double Nanoseconds, double Seconds) OfWorker(NetLoop c, NetCard card, Func<double> move, int count)
    {
        long start = c.TimeOf(card.Worker);
        double seconds = move();
        double time = (double)(c.TimeOf(card.Worker) - start) / count;
        return card.Dropped == 0 ? (time, seconds) : throw new InvalidOperationException($"the card dropped {card.Dropped} packets");
    }

    private static NetResult Measure(
        string name, int samples, int count, Func<double> each, Func<double> ring, Func<(double Nanoseconds, double Seconds)> ours)
    {
        List<double>[] times = [[], [], [], []];
        for (int i = -samples / 4; i < samples; i++)
        {
            double first = each();
            double second = ring();
            (double third, double seconds) = ours();
            if (i >= 0)
            {
                times[0].Add(first);
                times[1].Add(second);
                times[2].Add(third);
                times[3].Add(seconds);
            }
        }

        return new NetResult
        {
            Name = name,
            Ours = Quartile(times[2]),
            OursMinimum = times[2][0],
            CallEach = Quartile(times[0]),
            Batches = Quartile(times[1]),
            PacketsPerSecond = count / Quartile(times[3]),
        };
    }

    private static double Quartile(List<double> values)
    {
        values.Sort();
        return values[values.Count / 4];
    }

    private static string Table(List<NetResult> results)
    {
        var text = new StringBuilder();
        text.AppendLine("Processor time of a packet over a tap in ns (lower quartile): the card's worker, and bare C loops in the same run.");
        text.AppendLine();
        text.AppendLine("| | worker | (min) | C, a call each | C, io_uring by 64 | worker / best C | packets/s |");
        text.AppendLine("|---|---|---|---|---|---|---|");
        foreach (NetResult r in results)
        {
            string times = string.Create(CultureInfo.InvariantCulture, $"{r.Ours:F0} | {r.OursMinimum:F0} | {r.CallEach:F0} | {r.Batches:F0}");
            double ratio = r.Ours / Math.Min(r.CallEach, r.Batches);
            text.AppendLine(string.Create(CultureInfo.InvariantCulture, $"| {r.Name} | {times} | {ratio:F2} | {r.PacketsPerSecond:N0} |"));
        }

        return text.ToString();
    }

    /// <summary>A TCP segment for another station, with its header; longer than a frame, it is to be cut by the receiver.</summary>
    private static byte[] Packet(int length)
    {
        byte[] packet = new byte[HeaderSize + length];
        if (length > 1514)
        {
            (packet[0], packet[1]) = (1, 1);
            BinaryPrimitives.WriteUInt16LittleEndian(packet.AsSpan(2), 54);
            BinaryPrimitives.WriteUInt16LittleEndian(packet.AsSpan(4), SegmentSize);
            BinaryPrimitives.WriteUInt16LittleEndian(packet.AsSpan(6), 34);
            BinaryPrimitives.WriteUInt16LittleEndian(packet.AsSpan(8), 16);
        }

        Span<byte> frame = packet.AsSpan(HeaderSize);
        ReadOnlySpan<byte> ethernet = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0];
        ethernet.CopyTo(frame);
        frame[14] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(frame[16..], (ushort)(length - 14));
        (frame[22], frame[23]) = (64, 6);
        ReadOnlySpan<byte> addresses = [198, 18, 77, 1, 198, 18, 77, 2];
        addresses.CopyTo(frame[26..]);
        frame[46] = 0x50;
        return packet;
    }
}
