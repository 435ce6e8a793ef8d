using System;
using System.Collections.Generic;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>Real files behind virtio-blk, seen from both sides.</summary>
[Trait("Category", "Nested")]
public sealed class DiskTests(DiskTests.Runs runs) : IClassFixture<DiskTests.Runs>
{
    [NestedFact]
    public void A_disk_of_256_MiB_reads_as_the_host_has_it()
    {
        runs["large"].ShouldHavePassed();
        runs["large"].Fact("SUM").Should().Be(runs.LargeDigest);
    }

    [NestedFact]
    public void What_the_guest_writes_and_syncs_the_host_reads()
    {
        LabResult result = runs["write"];
        result.ShouldHavePassed();
        result.Fact("WROTE").Should().Be(result.Note("HOST")).And.HaveLength(64);
    }

    [NestedFact]
    public void A_read_only_disk_refuses_writes_and_stays_unchanged()
    {
        LabResult result = runs["readonly"];
        result.ShouldHavePassed();
        result.Fact("RO").Should().Be("1");
        result.Fact("DD").Should().NotBe("0", "a write has to fail in the guest");
        result.Note("AFTER").Should().Be(runs.SmallDigest);
    }

    [NestedFact]
    public void Four_disks_work_at_once()
    {
        LabResult result = runs["four"];
        result.ShouldHavePassed();
        for (char disk = 'a'; disk <= 'd'; disk++)
        {
            result.Fact($"SUM-vd{disk}").Should().Be(runs.SmallDigest);
        }
    }

    [NestedFact]
    public void Serial_queues_and_queue_size_reach_the_guest()
    {
        LabResult result = runs["options"];
        result.ShouldHavePassed();
        result.Fact("SERIAL").Should().Be("ABC-123");
        result.Fact("QUEUES").Should().Be("2");
        result.Fact("SUM").Should().Be(runs.SmallDigest);
    }

    [NestedFact]
    public void Discards_and_write_zeroes_reach_the_file()
    {
        LabResult result = runs["discard"];
        result.ShouldHavePassed();
        result.Fact("DISCARDED").Should().Be("0", "blkdiscard has to succeed");
        long.Parse(result.Fact("ZEROES")).Should().BeGreaterThan(0);
        result.Fact("ZEROED").Should().Be("0", "blkdiscard -z has to succeed");
        int.Parse(result.Note("BLOCKS")).Should().BeLessThan(16 << 11, "a discarded file is sparse");
        result.Note("NONZERO").Should().Be("0", "the ranges that were discarded and zeroed read as zero");
        result.Note("REST").Should().Be("same", "what lies behind it is untouched");
    }

    public sealed class Runs
    {
        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results;

        public Runs()
        {
            byte[] small = RandomNumberGenerator.GetBytes(16 << 20);
            byte[] large = RandomNumberGenerator.GetBytes(256 << 20);
            SmallDigest = Convert.ToHexStringLower(SHA256.HashData(small));
            LargeDigest = Convert.ToHexStringLower(SHA256.HashData(large));
            _results = new(() => LabSession.Run(
                Cases, new Dictionary<string, byte[]> { ["small"] = small, ["large"] = large }));
        }

        public string SmallDigest { get; }

        public string LargeDigest { get; }

        public LabResult this[string name] => _results.Value[name];

        private static LabCase[] Cases { get; } =
        [
            new("large", "--disk path=$SHARE/large,readonly=on") { Guest = GuestScripts.ReadDiskAndReport, TimeoutSeconds = 900 },
            new("write", "--disk path=data")
            {
                Before = "truncate -s 32M data",
                Guest = """
                    dd if=/dev/urandom of=/tmp/data bs=1M count=32 2>/dev/null
                    dd if=/tmp/data of=/dev/vda bs=1M conv=fsync 2>/dev/null || exit 1
                    echo "WROTE $(sha256sum </tmp/data | cut -d' ' -f1)"
                    """,
                After = """echo "HOST $(sha256sum <data | cut -d' ' -f1)" """,
            },
            new("readonly", "--disk path=data,readonly=on")
            {
                Before = "cp $SHARE/small data",
                Guest = """
                    echo "RO $(cat /sys/block/vda/ro)"
                    dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync 2>&1
                    echo "DD $?"
                    """,
                After = """echo "AFTER $(sha256sum <data | cut -d' ' -f1)" """,
            },
            new("four", "--disk path=a --disk path=b --disk path=c --disk path=d")
            {
                Before = "for f in a b c d; do cp $SHARE/small $f; done",
                Guest = """
                    for d in vda vdb vdc vdd; do
                        dd if=/dev/$d bs=1M iflag=direct 2>/dev/null | sha256sum | sed "s/^/SUM-$d /; s/ *-$//" >/tmp/$d &
                    done
                    wait
                    cat /tmp/vd?
                    """,
            },
            new("options", "--disk path=data,serial=ABC-123,num_queues=2,queue_size=64,id=first")
            {
                Before = "cp $SHARE/small data",
                Processors = 2,
                Guest = """
                    echo "SERIAL $(cat /sys/block/vda/serial)"
                    echo "QUEUES $(ls /sys/block/vda/mq | wc -l)"
                    echo "SUM $(dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
                    """,
            },
            new("discard", "--disk path=data")
            {
                Before = "cp $SHARE/small data",
                Guest = """
                    blkdiscard -o 0 -l 8388608 /dev/vda
                    echo "DISCARDED $?"
                    echo "ZEROES $(cat /sys/block/vda/queue/write_zeroes_max_bytes)"
                    /sbin/blkdiscard -z -o 8388608 -l 4194304 /dev/vda
                    echo "ZEROED $?"
                    sync
                    """,
                After = """
                    echo "BLOCKS $(stat -c %b data)"
                    echo "NONZERO $(dd if=data bs=1M count=12 2>/dev/null | tr -d '\0' | wc -c)"
                    cmp -s -i 12582912 data $SHARE/small && echo "REST same"
                    """,
            },
        ];
    }
}
