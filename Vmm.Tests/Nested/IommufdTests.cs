using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>Devices that reach a guest through an iommufd of a real kernel, whose modules for that are built at first use.</summary>
[Trait("Category", "Nested")]
[Trait("Behaviour", "VFIO-1")]
public sealed class IommufdTests(IommufdTests.Runs runs) : IClassFixture<IommufdTests.Runs>
{
    [LongNestedFact]
    public void Devices_are_opened_by_themselves_and_share_one_iommufd()
    {
        runs["guest"].ShouldHavePassed();
        runs["guest"].Note("NODES").Should().Be("2");
        runs["guest"].Note("IOMMUFDS").Should().Be("1");
        runs["guest"].Note("GROUPS").Should().Be("0");
    }

    [LongNestedTheory]
    [InlineData("nvme")]
    [InlineData("virtio")]
    [Trait("Behaviour", "VFIO-11")]
    public void Disks_read_as_the_host_has_them_and_keep_what_is_written(string disk)
    {
        runs["guest"].Fact($"SUM-{disk}").Should().Be(runs.Digest);
        runs["guest"].Fact($"KEPT-{disk}").Should().Be("yes");
    }

    [LongNestedFact]
    [Trait("Behaviour", "VFIO-10")]
    public void A_second_run_finds_the_devices_as_the_first_one_did()
    {
        runs["again"].ShouldHavePassed();
        runs["again"].Fact("SUM-nvme").Should().Be(runs.Digest);
        runs["again"].Fact("SUM-virtio").Should().Be(runs.Digest);
    }

    /// <summary>Two guests in one boot of the lab.</summary>
    public sealed class Runs
    {
        // What is written lies behind the first 2 MiB.
        private const string Use = """
            hash() { dd if=/dev/$1 bs=64k count=32 iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1; }
            for i in $(seq 100); do [ -b /dev/nvme0n1 ] && [ -b /dev/vda ] && break; sleep 0.1; done
            for disk in nvme=nvme0n1 virtio=vda; do
                node=${disk#*=} name=${disk%=*}
                echo "SUM-$name $(hash $node)"
                dd if=/dev/urandom of=/tmp/data bs=64k count=8 2>/dev/null
                dd if=/tmp/data of=/dev/$node bs=64k seek=32 oflag=direct conv=notrunc,fsync 2>/dev/null
                dd if=/dev/$node bs=64k skip=32 count=8 iflag=direct 2>/dev/null | cmp - /tmp/data && echo "KEPT-$name yes"
            done
            dmesg -r | grep -E '^<[0-3]>'
            true
            """;

        private const string Look = """
            until grep -aq '^KEPT-virtio' console 2>/dev/null || ! kill -0 "$pid"; do
                now=$(ls -l /proc/$pid/fd 2>/dev/null | grep -E '/dev/(iommu|vfio)')
                [[ $(wc -l <<<"$now") -le $(wc -l <<<"$seen") ]] || seen=$now
                sleep 0.1
            done
            echo "$seen"
            echo "NODES $(grep -o '/dev/vfio/devices/vfio[0-9]*' <<<"$seen" | sort -u | wc -l)"
            echo "IOMMUFDS $(grep -c '/dev/iommu' <<<"$seen")"
            echo "GROUPS $(grep -cE '/dev/vfio/([0-9]|vfio)' <<<"$seen")"
            """;

        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results;

        public Runs()
        {
            byte[] content = RandomNumberGenerator.GetBytes(2 << 20);
            Digest = Convert.ToHexStringLower(SHA256.HashData(content));
            _results = new(() => Execute(content));
        }

        /// <summary>Digest of the first 2 MiB of both disks.</summary>
        public string Digest { get; }

        public LabResult this[string run] => _results.Value[run];

        private static IReadOnlyDictionary<string, LabResult> Execute(byte[] content)
        {
            DirectoryInfo folder = Directory.CreateTempSubdirectory("vmmdevices-nested.");
            try
            {
                string[] drives = ["nvme", "virtio"];
                foreach (string name in drives)
                {
                    File.WriteAllBytes(Path.Combine(folder.FullName, name), [.. content, .. content]);
                }

                string[] devices = ["nvme,serial=1,drive=nvme", "virtio-blk-pci,drive=virtio,iommu_platform=on,disable-legacy=on"];
                string[] words = [.. drives.SelectMany(name => new[] { "-drive", $"if=none,id={name},format=raw,file={folder.FullName}/{name}" })];
                const string Devices =
                    "--device path=/sys/bus/pci/devices/0000:00:10.0,iommufd=on --device path=/sys/bus/pci/devices/0000:00:11.0,iommufd=on";
                var run = new LabCase("guest", Devices)
                {
                    Flavour = "amd64",
                    Memory = "size=256M",
                    Modules = "nvme",
                    Guest = Use,
                    Beside = Look,
                };
                return LabSession.Run(
                    [run, run with { Name = "again" }],
                    options:
                    [
                        "--iommufd", .. devices.SelectMany(device => new[] { "--vfio", device }),
                        .. words.SelectMany(word => new[] { "--qemu", word }),
                    ]);
            }
            finally
            {
                folder.Delete(recursive: true);
            }
        }
    }
}
