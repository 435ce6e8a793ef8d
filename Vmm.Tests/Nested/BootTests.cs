using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>Debian kernels boot under vmm in every shape of machine and read the disk.</summary>
[Trait("Category", "Nested")]
public sealed class BootTests(BootTests.Runs runs) : IClassFixture<BootTests.Runs>
{
    private const string Disk = "--disk path=$SHARE/disk,readonly=on";

    private static readonly LabCase[] Cases =
    [
        new("cloud-bzimage", Disk),
        new("cloud-vmlinux", Disk) { Vmlinux = true },
        new("amd64-bzimage", Disk) { Flavour = "amd64" },
        new("amd64-vmlinux", Disk) { Flavour = "amd64", Vmlinux = true },
        new("nomsi", $"{Disk} {Disk} {Disk} --net tap=vmmboot0 --rng src=/dev/urandom") { CommandLine = "pci=nomsi" },
        new("conf1", Disk) { CommandLine = "pci=conf1" },
        new("nommconf", Disk) { CommandLine = "pci=nommconf" },
        new("realloc", Disk) { CommandLine = "pci=realloc" },
        new("maxcpus1", Disk) { Processors = 2, CommandLine = "maxcpus=1" },
        new("cpus2", Disk) { Processors = 2 },
        new("cpus4", Disk) { Processors = 4 },
        new("size256m", Disk) { Memory = "size=256M" },
        new("size3g", Disk) { Memory = "size=3G" },
        new("size5g", Disk) { Memory = "size=5G" },
        new("shared", Disk) { Memory = "size=512M,shared=on" },
        new("thp-off", Disk) { Memory = "size=256M,thp=off" },
        new("hugepages", Disk)
        {
            Memory = "size=256M,hugepages=on",
            Before = "echo 140 >/proc/sys/vm/nr_hugepages",
            After = "echo 0 >/proc/sys/vm/nr_hugepages",
        },
    ];

    /// <summary>A guest that has touched 512 MiB and waits, so that its process can be looked at.</summary>
    private static readonly LabCase Filled = new("filled", Disk)
    {
        Memory = "size=1G",
        Guest = "mount -t tmpfs -o size=600M fill /mnt; dd if=/dev/zero of=/mnt/fill bs=1M count=512 2>/dev/null; echo FILLED; sleep 1000",
        Before = "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled; echo \"SOFT $(ulimit -Sn)\"",
        Beside = """
            until grep -q ^FILLED console 2>/dev/null || ! kill -0 $pid; do sleep 0.2; done
            echo "HUGE $(awk '/^AnonHugePages:/ { print int($2 / 1024) }' /proc/$pid/smaps_rollup)"
            awk '/^Max open files/ { print "FILES " $4, $5 }' /proc/$pid/limits
            kill -TERM $pid
            """,
    };

    public static TheoryData<string> Names => [.. Cases.Select(c => c.Name)];

    [NestedTheory]
    [MemberData(nameof(Names))]
    public void The_kernel_reaches_userspace_reads_the_disk_and_logs_no_error(string name)
    {
        LabResult result = runs[name];

        result.ShouldHavePassed();
        result.Fact("SUM").Should().Be(runs.Digest);
        result.Fact("COMPLAINTS").Should().Be("0", "{0}", result.Console);
        result.Errors.Should().BeEmpty("nothing went wrong that an operator should know");
    }

    [NestedFact]
    [Trait("Behaviour", "MEM-6")]
    public void RAM_lies_in_huge_pages_of_a_host_that_gives_them_to_who_asks()
    {
        LabResult result = runs[Filled.Name];

        result.Status.Should().Be(0, "{0}{1}", result.Console, result.Errors);
        int.Parse(result.Note("HUGE")).Should().BeInRange(512, 1100, "MiB; {0}", result.Notes);
    }

    [NestedFact]
    public void The_limit_of_open_descriptors_is_raised()
    {
        string[] limits = runs[Filled.Name].Note("FILES").Split(' ');

        limits.Should().HaveCount(2).And.OnlyContain(limit => limit == limits[1], "the soft limit is the hard one: {0}", runs[Filled.Name].Notes);
        int.Parse(limits[0]).Should().BeGreaterThan(int.Parse(runs[Filled.Name].Note("SOFT")), "the lab gives less to begin with");
    }

    [NestedTheory]
    [InlineData("maxcpus1", 1)]
    [InlineData("cpus2", 2)]
    [InlineData("cpus4", 4)]
    public void The_guest_sees_its_processors(string name, int processors)
    {
        runs[name].Fact("PROCESSORS").Should().Be($"{processors}");
    }

    [NestedTheory]
    [InlineData("size256m", 160, 256)]
    [InlineData("size3g", 2800, 3072)]
    [InlineData("size5g", 4700, 5120)]
    public void The_guest_sees_its_memory(string name, int least, int most)
    {
        int.Parse(runs[name].Fact("MEMORY")).Should().BeInRange(least, most);
    }

    [NestedFact]
    [Trait("Behaviour", "VTP-13")]
    [Trait("Behaviour", "PCI-9")]
    public void Without_MSI_the_devices_interrupt_by_shared_lines()
    {
        LabResult result = runs["nomsi"];

        result.Fact("MSI").Should().Be("0");
        int.Parse(result.Fact("INTX")).Should().BeGreaterThan(0);
        result.Console.Split('\n').Should().Contain(
            line => line.Contains("IO-APIC", StringComparison.Ordinal) && line.Contains(',', StringComparison.Ordinal),
            "five functions share four lines");
    }

    [NestedFact]
    public void With_MSI_X_no_virtio_device_uses_a_line()
    {
        runs["cloud-bzimage"].Fact("INTX").Should().Be("0");
        int.Parse(runs["cloud-bzimage"].Fact("MSI")).Should().BeGreaterThan(0);
    }

    /// <summary>All cases in one boot of the lab.</summary>
    public sealed class Runs
    {
        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results;

        public Runs()
        {
            byte[] disk = RandomNumberGenerator.GetBytes(16 << 20);
            Digest = Convert.ToHexStringLower(SHA256.HashData(disk));
            _results = new(() => LabSession.Run(
                [.. Cases.Select(c => c with { Guest = GuestScripts.ReadDiskAndReport }), Filled],
                new Dictionary<string, byte[]> { ["disk"] = disk },
                memory: 4608));
        }

        public string Digest { get; }

        public LabResult this[string name] => _results.Value[name];
    }
}
