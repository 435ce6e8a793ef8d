using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>
/// The lab itself runs Linux 6.12, whose VFIO gives a device more MSI-X vectors while others are enabled: real devices are described and driven
/// from user space there, and one that a guest has grow.
/// </summary>
[Trait("Category", "Nested")]
[Trait("Behaviour", "VFIO-14")]
public sealed class NewerLabTests(NewerLabTests.Runs runs) : IClassFixture<NewerLabTests.Runs>
{
    [NestedFact]
    [Trait("Behaviour", "VFIO-9")]
    public void The_kernel_says_that_MSI_X_grows_while_enabled()
    {
        runs["probe"].Note("LAB").Should().StartWith("6.12.");
        runs["probe"].Notes.Split('\n').Should().Contain("IRQ-0000:00:10.0 Msix 5 grows");
        runs["probe"].Note("LEFT").Should().Be("0");
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-8")]
    [Trait("Behaviour", "VFIO-9")]
    public void The_educational_device_interrupts_by_its_pin_and_by_messages()
    {
        string[] facts = runs["probe"].Notes.Split('\n');

        facts.Should().Contain("INTERRUPTS-Pin 20 raised, factorial, copy, disabled");
        facts.Should().Contain("INTERRUPTS-Msi 20 raised, factorial, copy, disabled");
        facts.Should().Contain("DMA both ways").And.Contain("HOTPLUG right, many changes");
    }

    [NestedFact]
    [Trait("Behaviour", "DRV-1")]
    public void A_virtio_disk_is_driven_from_user_space_by_each_way_of_completion()
    {
        string[] facts = runs["probe"].Notes.Split('\n');

        foreach (string mode in new[] { "Polling", "Pin", "Messages" })
        {
            facts.Should().Contain($"DISK-{mode} {mode} right written").And.Contain($"MAPPINGS-{mode} 0");
        }
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-9")]
    public void Vectors_that_the_guest_unmasks_later_are_added_while_the_others_stay_enabled()
    {
        LabResult result = runs["grow"];

        result.ShouldHavePassed();
        result.Errors.Should().BeEmpty();
        result.Fact("VECTORS").Should().Be("3", "one of the controller, one of each processor's queue");

        // The guest's driver enables MSI-X for the controller's own vector, and a second time for all. The first vector comes with that each
        // time, the two of the queues on top, by the kernel's function for that, without MSI-X being enabled anew in between.
        result.Note("ADDED").Should().Be("2");
        result.Note("ENABLED").Should().Be("2");
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-9")]
    public void Every_vector_of_the_grown_device_works_and_guest_and_host_count_the_same()
    {
        LabResult result = runs["grow"];

        result.Fact("SUM").Should().Be(runs.Digest);
        string[] counts = result.Fact("COUNTS").Split(' ');
        counts.Should().HaveCount(3).And.NotContain("0");
        result.Note("HOST-COUNTS").Should().Be(result.Fact("COUNTS"));
    }

    /// <summary>Both in one boot of the lab.</summary>
    public sealed class Runs
    {
        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results;

        public Runs()
        {
            byte[] content = RandomNumberGenerator.GetBytes(2 << 20);
            Digest = Convert.ToHexStringLower(SHA256.HashData(content));
            _results = new(() => Execute(content, Digest));
        }

        /// <summary>Digest of both disks.</summary>
        public string Digest { get; }

        public LabResult this[string run] => _results.Value[run];

        private static IReadOnlyDictionary<string, LabResult> Execute(byte[] content, string digest)
        {
            DirectoryInfo folder = Directory.CreateTempSubdirectory("vmmdevices-nested.");
            try
            {
                string[] drives = ["nvme", "virtio"];
                foreach (string name in drives)
                {
                    File.WriteAllBytes(Path.Combine(folder.FullName, name), content);
                }

                string[] devices =
                [
                    "nvme,serial=1,drive=nvme,max_ioqpairs=4,msix_qsize=5", "edu",
                    "virtio-blk-pci,drive=virtio,iommu_platform=on,disable-legacy=on",
                ];
                string[] words = [.. drives.SelectMany(name => new[] { "-drive", $"if=none,id={name},format=raw,file={folder.FullName}/{name}" })];
                return LabSession.Run(
                    Cases(digest),
                    options:
                    [
                        "--kernel", "amd64-6.12", .. devices.SelectMany(device => new[] { "--vfio", device }),
                        .. words.SelectMany(word => new[] { "--qemu", word }),
                    ]);
            }
            finally
            {
                folder.Delete(recursive: true);
            }
        }

        private static LabCase[] Cases(string digest)
        {
            string probe = $"dotnet {Path.Combine(AppContext.BaseDirectory, "VfioProbe.dll")}";
            return
            [
                new("probe")
                {
                    Before = "echo \"LAB $(uname -r)\"",
                    Command = $"bash -c 'set -e; set -- $LAB_VFIO; {probe} devices $*; {probe} edu $2; {probe} disk $3 {digest}'",
                },
                new("grow", "--device path=/sys/bus/pci/devices/0000:00:10.0 --disk path=hand")
                {
                    Memory = "size=256M",
                    Processors = 2,
                    Modules = "nvme",

                    // Counts each vector that is added to a device's enabled MSI-X, and each time that it is enabled as a whole.
                    Before = """
                        truncate -s 1M hand
                        mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
                        cd /sys/kernel/tracing
                        echo 'p:added pci_msix_alloc_irq_at' >kprobe_events
                        echo 'p:enabled pci_alloc_irq_vectors_affinity' >>kprobe_events
                        echo 1 >events/kprobes/enable
                        """,

                    // One request at a time, on each processor; so no two messages of a vector merge.
                    Guest = """
                        for i in $(seq 100); do [ -b /dev/nvme0n1 ] && break; sleep 0.1; done
                        function=$(readlink -f /sys/class/nvme/nvme0/device)
                        echo "SUM $(taskset 1 dd if=/dev/nvme0n1 bs=64k count=32 iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
                        taskset 2 dd if=/dev/nvme0n1 of=/dev/null bs=64k count=32 iflag=direct 2>/dev/null
                        echo "VECTORS $(ls $function/msi_irqs | wc -l)"
                        grep nvme /proc/interrupts
                        lines() { for i in $(ls $function/msi_irqs | sort -n); do grep "^ *$i:" /proc/interrupts; done; }
                        echo "COUNTS $(lines | awk '{ printf "%s%d", s, $2 + $3; s = " " }')"
                        echo "AT END"
                        seen() { [ "$(dd if=/dev/vda bs=512 count=1 iflag=direct 2>/dev/null | tr -d '\0')" = SEEN ]; }
                        for i in $(seq 200); do seen && break; sleep 0.1; done
                        """,
                    Beside = """
                        until grep -aq '^AT END' console 2>/dev/null || ! kill -0 "$pid"; do sleep 0.2; done
                        grep 'vfio-' /proc/interrupts
                        lines() { grep 'vfio-msix.*0000:00:10.0' /proc/interrupts | sort -t '[' -k 2n; }
                        echo "HOST-COUNTS $(lines | awk '{ printf "%s%d", s, $2; s = " " }')"
                        printf SEEN | dd of=hand bs=512 conv=notrunc,sync 2>/dev/null
                        """,
                    After = """
                        cd /sys/kernel/tracing
                        echo 0 >events/kprobes/enable
                        cat trace
                        echo "ADDED $(grep -c ' added: ' trace)"
                        echo "ENABLED $(grep -c ' enabled: ' trace)"
                        """,
                },
            ];
        }
    }
}
