using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>Virtual functions of an igb network card and of an nvme disk, made in the lab and passed to Linux guests (SR-IOV).</summary>
[Trait("Category", "Nested")]
[Trait("Behaviour", "VFIO-14")]
public sealed class VirtualFunctionTests(VirtualFunctionTests.Runs runs) : IClassFixture<VirtualFunctionTests.Runs>
{
    [NestedTheory]
    [InlineData("igb", "ffff:ffff", "0x8086:0x10ca", "igbvf")]
    [InlineData("nvme", "ffff:ffff", "0x1b36:0x0010", "nvme")]
    [Trait("Behaviour", "VFIO-2")]
    public void The_guest_sees_the_ids_of_the_function_and_its_driver_binds(string run, string raw, string seen, string driver)
    {
        LabResult result = runs[run];

        result.ShouldHavePassed();
        result.Note("RAW").Should().Be(raw, "that is what the function itself says");
        result.Fact("ID").Should().Be(seen);
        result.Fact("DRIVER").Should().Be(driver);
        result.Fact("COMPLAINTS").Should().Be("0", "{0}", result.Console);
        result.Errors.Should().BeEmpty();
    }

    [NestedTheory]
    [InlineData("igb", 3)]
    [InlineData("nvme", 2)]
    [Trait("Behaviour", "VFIO-8")]
    [Trait("Behaviour", "VFIO-9")]
    public void A_virtual_function_has_no_pin_and_interrupts_by_messages(string run, int vectors)
    {
        runs[run].Fact("PIN").Should().Be("00 0", "neither a pin nor a line");
        runs[run].Fact("VECTORS").Should().Be($"{vectors}");
        int.Parse(runs[run].Fact("MESSAGES")).Should().BePositive();
    }

    [NestedTheory]
    [InlineData("igb")]
    [InlineData("nvme")]
    [Trait("Behaviour", "VFIO-2")]
    public void The_extended_capabilities_that_belong_to_the_physical_function_are_not_shown(string run)
    {
        // SR-IOV (0x10) and alternative routing IDs (0x0e).
        runs[run].Fact("EXTENDED").Split(' ').Should().NotContain(["0010", "000e"]);
    }

    [NestedFact]
    public void The_virtual_network_card_has_its_address_a_link_and_traffic_with_the_physical_one()
    {
        LabResult result = runs["igb"];

        result.Fact("MAC").Should().Be("52:54:00:aa:00:01");
        result.Fact("CARRIER").Should().Be("1");
        result.Fact("PING").Should().Be("3");
        result.Fact("DOWN").Should().Be(runs.Digest);
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-11")]
    public void The_virtual_disk_controller_reads_and_writes_the_shared_namespace()
    {
        LabResult result = runs["nvme"];

        result.Fact("SUM").Should().Be(runs.Digest);
        result.Fact("WROTE").Should().NotBeEmpty().And.Be(result.Note("HOST"), "the physical function reads what the virtual one wrote");
    }

    /// <summary>Both guests in one boot of the lab.</summary>
    public sealed class Runs
    {
        private const string Card = "0000:01:00.0";
        private const string VirtualCard = "0000:01:10.0";
        private const string Disk = "0000:02:00.0";
        private const string VirtualDisk = "0000:02:00.1";

        private const string Bind = """
            bind() {
                echo "RAW $(od -An -t x2 -N 4 /sys/bus/pci/devices/$1/config | sed 's/^ //; s/ /:/')"
                echo vfio-pci >/sys/bus/pci/devices/$1/driver_override
                echo $1 >/sys/bus/pci/drivers_probe
            }
            make() { echo 0 >/sys/bus/pci/devices/$1/sriov_drivers_autoprobe; echo 1 >/sys/bus/pci/devices/$1/sriov_numvfs; }

            """;

        private const string Look = """
            find() { for d in /sys/bus/pci/devices/*; do [ "$(cat $d/vendor):$(cat $d/device)" = "$1" ] && echo $d; done; }
            about() {
                d=$(find $1)
                echo "ID $(cat $d/vendor):$(cat $d/device)"
                echo "DRIVER $(basename $(readlink $d/driver))"
                echo "PIN $(hexdump -s 61 -n 1 -e '1/1 "%02x"' $d/config) $(cat $d/irq)"
                printf EXTENDED
                at=256
                while [ $at -ne 0 ]; do
                    set -- $(hexdump -s $at -n 4 -e '2/2 "%04x "' $d/config)
                    [ $# -eq 2 ] || break
                    printf ' %s' $1
                    at=$((0x$2 >> 4))
                done
                echo
            }
            report() {
                echo "VECTORS $(ls $d/msi_irqs | wc -l)"
                echo "MESSAGES $(for i in $(ls $d/msi_irqs); do grep "^ *$i:" /proc/interrupts; done | awk '{ n += $2 } END { print n + 0 }')"
                dmesg -r | grep -E '^<[0-3]>'
                echo "COMPLAINTS $(dmesg -r | grep -cE '^<[0-3]>')"
            }
            wait_for() { for i in $(seq 100); do eval "$1" 2>/dev/null && return; sleep 0.1; done; echo "MISSED $1"; }

            """;

        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results;

        public Runs()
        {
            byte[] content = RandomNumberGenerator.GetBytes(2 << 20);
            Digest = Convert.ToHexStringLower(SHA256.HashData(content));
            _results = new(() => Execute(content));
        }

        /// <summary>Digest of the file that the card carries, and of the first 2 MiB of the disk.</summary>
        public string Digest { get; }

        public LabResult this[string run] => _results.Value[run];

        private static IReadOnlyDictionary<string, LabResult> Execute(byte[] content)
        {
            DirectoryInfo folder = Directory.CreateTempSubdirectory("vmmdevices-nested.");
            try
            {
                File.WriteAllBytes(Path.Combine(folder.FullName, "disk"), [.. content, .. content]);
                LabSession.Compile("Vmm.Tests/Nested/GuestPrograms/nvme-virt-mgmt.c", Path.Combine(folder.FullName, "nvme-virt-mgmt"));

                // With all of the lab's memory below 4 GiB its BARs are there, too: QEMU 10.0 does not map those of igb's virtual functions
                // elsewhere.
                string[] words =
                [
                    "-device", "pcie-root-port,id=above-card,chassis=1,addr=0x1c", "-netdev", "user,id=net,restrict=on",
                    "-device", "igb,bus=above-card,netdev=net",
                    "-device", "pcie-root-port,id=above-disk,chassis=2,addr=0x1d",
                    "-drive", $"if=none,id=disk,format=raw,file={folder.FullName}/disk",
                    "-device", "nvme-subsys,id=subsystem",
                    "-device", "nvme,id=nvme,serial=1,subsys=subsystem,bus=above-disk,max_ioqpairs=8,msix_qsize=8,"
                        + "sriov_max_vfs=1,sriov_vq_flexible=3,sriov_vi_flexible=2",
                    "-device", "nvme-ns,bus=nvme,drive=disk,nsid=1,shared=on",
                ];
                return LabSession.Run(
                    Cases(folder.FullName),
                    new Dictionary<string, byte[]> { ["file"] = content },
                    memory: 2048,
                    options: ["--qemu-version", "10.0", .. words.SelectMany(word => new[] { "--qemu", word })]);
            }
            finally
            {
                folder.Delete(recursive: true);
            }
        }

        private static LabCase[] Cases(string folder)
        {
            var common = new LabCase("") { Memory = "size=256M" };
            return
            [
                common with
                {
                    Name = "igb",
                    Arguments = $"--device path=/sys/bus/pci/devices/{VirtualCard}",
                    Flavour = "amd64",
                    Modules = "igbvf",
                    Before = Bind + $$"""
                        modprobe -d "$LAB_KERNEL" igb
                        for _ in {1..100}; do card=$(ls /sys/bus/pci/devices/{{Card}}/net); [[ -z $card ]] || break; sleep 0.1; done
                        make {{Card}}
                        ip link set $card vf 0 mac 52:54:00:aa:00:01
                        ip addr add 192.168.60.1/24 dev $card
                        ip link set $card up
                        for _ in {1..100}; do [[ $(<"/sys/class/net/$card/carrier") != 1 ]] || break; sleep 0.1; done
                        bind {{VirtualCard}}
                        mkdir web; ln -s $SHARE/file web/file
                        busybox httpd -p 8080 -h web
                        """,
                    Guest = Look + """
                        about 0x8086:0x10ca
                        card=$(ls $d/net)
                        echo "MAC $(cat /sys/class/net/$card/address)"
                        ip link set $card up; ip addr add 192.168.60.2/24 dev $card
                        wait_for "[ \"\$(cat /sys/class/net/$card/carrier)\" = 1 ]"
                        echo "CARRIER $(cat /sys/class/net/$card/carrier)"
                        echo "PING $(ping -c 3 -i 0.2 -W 10 192.168.60.1 | awk '/packets transmitted/ { print $4 }')"
                        echo "DOWN $(wget -q -O - http://192.168.60.1:8080/file | sha256sum | cut -d' ' -f1)"
                        report
                        """,
                    After = "pkill -f 'httpd -p 8080' || kill $(busybox pidof busybox)",
                },
                common with
                {
                    Name = "nvme",
                    Arguments = $"--device path=/sys/bus/pci/devices/{VirtualDisk}",
                    Modules = "nvme",
                    Before = Bind + $$"""
                        modprobe -d "$LAB_KERNEL" nvme
                        for _ in {1..100}; do [[ ! -b /dev/nvme0n1 ]] || break; sleep 0.1; done
                        manage() { {{folder}}/nvme-virt-mgmt /dev/nvme0 "$@"; }
                        # The physical function keeps none of what can be given away; that holds after a reset. The virtual one is controller 1.
                        manage 0 0 1 0; manage 0 1 1 0; manage reset
                        make {{Disk}}
                        manage 1 1 8 2; manage 1 0 8 3; manage 1 0 9 0
                        bind {{VirtualDisk}}
                        """,
                    Guest = Look + """
                        about 0x1b36:0x0010
                        wait_for "[ -b /dev/nvme0n1 ]"
                        echo "SUM $(dd if=/dev/nvme0n1 bs=64k count=32 iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
                        dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null
                        dd if=/tmp/data of=/dev/nvme0n1 bs=64k seek=32 oflag=direct conv=fsync 2>/dev/null || exit 1
                        echo "WROTE $(sha256sum </tmp/data | cut -d' ' -f1)"
                        report
                        """,
                    After = """echo "HOST $(dd if=/dev/nvme0n1 bs=64k skip=32 count=16 iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)" """,
                },
            ];
        }
    }
}
