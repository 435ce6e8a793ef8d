using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>Linux on rings of every form, with all, few and no vectors: 64 MiB each way, and a network card beside.</summary>
[Collection(NestedCollection.Name)]
[Trait("Category", "Nested")]
public sealed class RingTests(RingTests.Runs runs) : IClassFixture<RingTests.Runs>
{
    private const int IndirectDescriptors = 28;
    private const int EventIndex = 29;
    private const int AccessPlatform = 33;
    private const int Packed = 34;

    // Words, words for disks alone, and the interrupts that the disks and the card use then.
    private static readonly (string Name, string Words, string DiskWords, bool Messages)[] Shapes =
    [
        ("split", "", "", true),
        ("packed", "packed=on", "", true),
        ("split-direct", "indirect=off", "", true),
        ("packed-direct", "packed=on,indirect=off", "", true),
        ("split-flags", "event_idx=off", "", true),
        ("packed-flags", "packed=on,event_idx=off", "", true),
        ("split-plain", "indirect=off,event_idx=off", "", true),
        ("packed-plain", "packed=on,indirect=off,event_idx=off", "", true),
        ("two-vectors", "vectors=2", "", true),
        ("one-vector", "vectors=1", "", false),
        ("no-vector", "vectors=0", "", false),
        ("packed-no-vector", "packed=on,vectors=0", "", false),
        ("size2", "", "queue_size=2", true),
        ("packed-size2", "packed=on", "queue_size=2", true),
        ("size1024", "queue_size=1024", "", true),
        ("packed-size1024", "packed=on,queue_size=1024", "", true),
        ("translated", "iommu=on", "", true),
        ("packed-translated", "iommu=on,packed=on", "", true),
        ("in-order", "in_order=on", "", true),
        ("queues4", "packed=on", "num_queues=4", true),
    ];

    public static TheoryData<string> Names => [.. Shapes.Select(shape => shape.Name)];

    [NestedTheory]
    [Trait("Behaviour", "VQ-1")]
    [MemberData(nameof(Names))]
    public void Bytes_arrive_whole_in_both_directions(string name)
    {
        LabResult result = runs[name];
        (_, string words, _, bool messages) = Shapes.Single(shape => shape.Name == name);
        result.ShouldHavePassed();
        result.Fact("READ").Should().Be(runs.Digest);
        result.Fact("BACK").Should().Be(runs.Digest);
        result.Note("FILE").Should().Be(runs.Digest);
        result.Fact("PING").Should().Be("3");
        result.Fact("COMPLAINTS").Should().Be("0", "{0}", result.Console);
        (result.Fact("MSI") != "0").Should().Be(messages, "{0}", result.Console);
        string features = result.Fact("FEATURES");
        features[Packed].Should().Be(words.Contains("packed=on", StringComparison.Ordinal) ? '1' : '0');
        features[IndirectDescriptors].Should().Be(words.Contains("indirect=off", StringComparison.Ordinal) ? '0' : '1');
        features[EventIndex].Should().Be(words.Contains("event_idx=off", StringComparison.Ordinal) ? '0' : '1');
        features[AccessPlatform].Should().Be(words.Contains("iommu=on", StringComparison.Ordinal) ? '1' : '0');
    }

    /// <summary>All shapes in one boot of the lab.</summary>
    public sealed class Runs
    {
        private const string Guest = """
            echo "FEATURES $(cat /sys/bus/virtio/devices/virtio0/features)"
            echo "READ $(dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
            dd if=/dev/vda of=/dev/vdb bs=1M oflag=direct 2>/dev/null || exit 1
            echo "BACK $(dd if=/dev/vdb bs=64K iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
            ip link set eth0 up; ip addr add 192.168.53.2/24 dev eth0
            echo "PING $(ping -c 3 -i 0.2 -W 5 192.168.53.1 | awk '/packets transmitted/ { print $4 }')"
            echo "MSI $(grep -c 'PCI-MSI.*virtio' /proc/interrupts)"
            dmesg -r | grep -E '^<[0-3]>'
            echo "COMPLAINTS $(dmesg -r | grep -cE '^<[0-3]>')"
            """;

        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results;

        public Runs()
        {
            byte[] disk = RandomNumberGenerator.GetBytes(64 << 20);
            Digest = Convert.ToHexStringLower(SHA256.HashData(disk));
            _results = new(() => LabSession.Run([.. Shapes.Select(Case)], new Dictionary<string, byte[]> { ["disk"] = disk }));
        }

        public string Digest { get; }

        public LabResult this[string name] => _results.Value[name];

        private static LabCase Case((string Name, string Words, string DiskWords, bool Messages) shape)
        {
            string words = shape.Words.Length == 0 ? "" : "," + shape.Words;
            string diskWords = shape.DiskWords.Length == 0 ? words : words + "," + shape.DiskWords;
            return new(
                shape.Name,
                $"--disk path=$SHARE/disk,readonly=on{diskWords} --disk path=copy{diskWords} --net tap=vmmring0,ip=192.168.53.1,mask=255.255.255.0{words} --rng src=/dev/urandom{words}")
            {
                Guest = Guest,
                Processors = shape.Name == "queues4" ? 2 : 1,
                Before = "truncate -s 64M copy",
                After = "echo \"FILE $(sha256sum <copy | cut -d' ' -f1)\"",
                TimeoutSeconds = 180,
            };
        }
    }
}
