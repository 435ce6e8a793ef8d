using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>
/// Every form of ring, number of vectors, size and number of queues that a device can be given: Linux takes what was offered, and 16 MiB (64 with
/// VMM_SOAK=1) go each way through each disk and each card. A disk is copied from its first half to its second, a card brings what it takes back; the
/// host compares byte by byte.
/// </summary>
[Trait("Category", "Nested")]
public sealed class TransferTests(TransferTests.Runs runs) : IClassFixture<TransferTests.Runs>
{
    private const int Indirect = 28;
    private const int EventIndex = 29;
    private const int AccessPlatform = 33;
    private const int Packed = 34;
    private const int BlockMultiQueue = 12;
    private const int NetMultiQueue = 22;

    /// <summary>What goes each way, in MiB.</summary>
    private static readonly int Size = Soak.On ? 64 : 16;

    // What does not hide one another shares a device. Guests with several queues have four processors of which one runs: Linux makes queues for all
    // of them, and four that run cost the emulation more than they show. A Linux card needs room for the largest packet without indirect
    // descriptors, 19, so that 32 is the smallest queue it can work with.
    private static readonly Machine[] Machines =
    [
        new(
            "split",
            4,
            ["num_queues=4", "indirect=off,num_queues=4,vectors=2", "event_idx=off,vectors=1", "indirect=off,event_idx=off,queue_size=1024"],
            ["num_queues=8", "indirect=off,num_queues=8,vectors=2", "event_idx=off,vectors=1", "indirect=off,event_idx=off,queue_size=1024"])
        {
            CommandLine = "maxcpus=1",
        },
        new(
            "packed",
            4,
            [
                "packed=on,num_queues=4", "packed=on,indirect=off,vectors=1,num_queues=4", "packed=on,event_idx=off,vectors=2",
                "packed=on,indirect=off,event_idx=off,queue_size=1024",
            ],
            [
                "packed=on,num_queues=8", "packed=on,indirect=off,vectors=1,num_queues=8", "packed=on,event_idx=off,vectors=2",
                "packed=on,indirect=off,event_idx=off,queue_size=1024",
            ]) { CommandLine = "maxcpus=1" },
        new(
            "sizes",
            1,
            [
                "queue_size=1024", "queue_size=1024,packed=on", "queue_size=2", "queue_size=2,packed=on", "iommu=on,vectors=0,in_order=on",
                "iommu=on,packed=on",
            ],
            ["queue_size=32,iommu=on"]),
        new(
            "nomsi",
            4,
            ["queue_size=2,num_queues=2", "packed=on,indirect=off"],
            ["num_queues=4", "packed=on,event_idx=off,iommu=on"]) { CommandLine = "pci=nomsi maxcpus=1" },
    ];

    public static TheoryData<string, string, string> Devices
    {
        get
        {
            var data = new TheoryData<string, string, string>();
            foreach (Machine machine in Machines)
            {
                foreach ((int index, string words) in machine.Disks.Index())
                {
                    data.Add(machine.Name, $"vd{(char)('a' + index)}", words);
                }

                foreach ((int index, string words) in machine.Nets.Index())
                {
                    data.Add(machine.Name, $"eth{index}", words);
                }
            }

            return data;
        }
    }

    [NestedTheory]
    [MemberData(nameof(Devices))]
    [Trait("Behaviour", "VQ-1")]
    public void Linux_uses_what_was_asked_for_and_what_is_sent_arrives_each_way(string machine, string device, string words)
    {
        LabResult result = runs[machine];
        result.ShouldHavePassed();
        bool disk = device.StartsWith("vd", StringComparison.Ordinal);
        string moved = disk ? result.Note($"SAME-{device}") : result.Fact($"SAME-{device}");
        moved.Should().Be(disk ? "whole" : "4", "everything has to arrive as it was\n{0}\n{1}", result.Console, result.Notes);

        string bits = result.Fact($"BITS-{device}");
        Bit(bits, Packed).Should().Be(words.Contains("packed=on", StringComparison.Ordinal), "packed rings in {0}", words);
        Bit(bits, Indirect).Should().Be(!words.Contains("indirect=off", StringComparison.Ordinal), "indirect descriptors in {0}", words);
        Bit(bits, EventIndex).Should().Be(!words.Contains("event_idx=off", StringComparison.Ordinal), "EVENT_IDX in {0}", words);
        Bit(bits, AccessPlatform).Should().Be(words.Contains("iommu=on", StringComparison.Ordinal), "ACCESS_PLATFORM in {0}", words);

        int queues = Number(words, "num_queues") ?? (disk ? 1 : 2);
        int inUse = disk ? queues : queues / 2;
        Bit(bits, disk ? BlockMultiQueue : NetMultiQueue).Should().Be(inUse > 1, "several queues in {0}", words);
        result.Fact($"QUEUES-{device}").Should().Be($"{inUse}");
        if (!disk || device == "vda")
        {
            // The kernel gives all its disks as many requests as fill the first one's queue.
            result.Fact($"SIZE-{device}").Should().Be($"{Number(words, "queue_size") ?? 256}");
        }

        // Without messages there is the line. Linux takes a vector for changes and one a queue, else two, else the line; its control queue is not
        // interrupted for.
        int? vectors = Number(words, "vectors");
        bool line = vectors is 0 or 1 || machine == "nomsi";
        result.Fact($"LINES-{device}").Should().Be(line ? "1" : "0");
        result.Fact($"VECTORS-{device}").Should().Be(line ? "0" : $"{vectors ?? queues + 1}");
        int.Parse(result.Fact($"BUSY-{device}")).Should().BeGreaterThan(0, "the queues interrupt in {0}", words);
    }

    [NestedTheory]
    [InlineData("split")]
    [InlineData("packed")]
    [InlineData("sizes")]
    [InlineData("nomsi")]
    public void Nothing_is_complained_of(string machine)
    {
        runs[machine].Fact("COMPLAINTS").Should().Be("0", "{0}", runs[machine].Console);
        runs[machine].Errors.Should().BeEmpty();
    }

    private static bool Bit(string bits, int bit) => bits[bit] == '1';

    private static int? Number(string words, string word)
    {
        string? text = words.Split(',').FirstOrDefault(w => w.StartsWith(word + "=", StringComparison.Ordinal));
        return text is null ? null : int.Parse(text[(word.Length + 1)..]);
    }

    private sealed record Machine(string Name, int Processors, string[] Disks, string[] Nets)
    {
        private static readonly string Compare = $$"""
            for d in disk?; do
                cmp -i $(({{Size}} << 20)):0 $d $SHARE/data && echo "SAME-vd${d#disk} whole"
            done
            """;

        private static readonly string Move = $$"""
            cpus=$(grep -c ^processor /proc/cpuinfo)
            # report NAME DEVICE: features, interrupts, and how many of its vectors have been used.
            report() {
                v=$(basename $(readlink -f $2))
                echo "BITS-$1 $(cat /sys/bus/virtio/devices/$v/features)"
                echo "VECTORS-$1 $(grep -c " $v-" /proc/interrupts)"
                echo "LINES-$1 $(grep -cE " $v(,|\$)" /proc/interrupts)"
                echo "BUSY-$1 $(grep -E " $v(-|,|\$)" /proc/interrupts | awk -v n=$cpus '{ s = 0; for (i = 2; i < 2 + n; i++) s += $i; if (s > 0) busy++ } END { print busy + 0 }')"
            }
            for disk in /sys/block/vd?; do
                d=${disk##*/}
                for p in 0 1 2 3; do
                    taskset -c $((p % cpus)) dd if=/dev/$d of=/dev/$d bs=1M count={{Size / 4}} skip=$(({{Size / 4}} * p)) seek=$(({{Size}} + {{Size / 4}} * p)) iflag=direct oflag=direct conv=notrunc,fsync 2>/dev/null &
                    jobs="$jobs $!"
                done
            done
            wait $jobs
            read -r up _ </proc/uptime; echo "DISKS $up"
            for card in /sys/class/net/eth?; do
                d=${card##*/}; n=${d#eth}
                ethtool -L $d combined $(ethtool -l $d | awk '/^Combined/ { print $2; exit }') 2>/dev/null
                ip link set $d up
                ip addr add 192.168.6$n.2/24 dev $d
                echo "SAME-$d $({{RoundTrip.Command}} 192.168.6$n.1 {{RoundTrip.Port}})"
            done
            read -r up _ </proc/uptime; echo "CARDS $up"
            for disk in /sys/block/vd?; do
                d=${disk##*/}
                report $d $disk/device
                echo "QUEUES-$d $(ls $disk/mq | wc -l)"
                echo "SIZE-$d $(cat $disk/mq/0/nr_tags)"
            done
            for card in /sys/class/net/eth?; do
                d=${card##*/}
                report $d $card/device
                echo "QUEUES-$d $(ls -d $card/queues/rx-* | wc -l)"
                echo "SIZE-$d $(ethtool -g $d | awk '/^RX:/ { n = $2 } END { print n }')"
            done
            dmesg -r | grep -E '^<[0-3]>'
            echo "COMPLAINTS $(dmesg -r | grep -cE '^<[0-3]>')"
            """;

        public string CommandLine { get; init; } = "";

        public LabCase ToCase()
        {
            IEnumerable<string> disks = Disks.Select((words, index) => $"--disk {Join($"path=disk{(char)('a' + index)}", words)}");
            IEnumerable<string> nets = Nets.Select((words, index) =>
                $"--net {Join($"tap=vmmring{index},ip=192.168.6{index}.1,mask=255.255.255.0", words)}");
            string files = string.Join(' ', Disks.Select((_, index) => $"disk{(char)('a' + index)}"));
            return new LabCase(Name, string.Join(' ', disks.Concat(nets)))
            {
                Processors = Processors,
                CommandLine = CommandLine,
                Before = RoundTrip.Prepare + $"for d in {files}; do cp $SHARE/data $d; truncate -s {2 * Size}M $d; done",
                Guest = Move,
                Files = RoundTrip.Files,
                After = Compare + RoundTrip.End,
                TimeoutSeconds = 900,
            };
        }

        private static string Join(string first, string words) => words.Length == 0 ? first : first + "," + words;
    }

    /// <summary>All machines in one boot of the lab.</summary>
    public sealed class Runs
    {
        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results = new(() => LabSession.Run(
            [.. Machines.Select(machine => machine.ToCase())],
            new Dictionary<string, byte[]> { ["data"] = RandomNumberGenerator.GetBytes(Size << 20) },
            memory: 3584));

        public LabResult this[string name] => _results.Value[name];
    }
}
