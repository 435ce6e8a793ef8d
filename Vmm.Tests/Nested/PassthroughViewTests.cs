using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Vmm.Tests.Nested;

/// <summary>
/// What a guest sees of a passed-through device is what it sees of it under QEMU's vfio-pci, in the same lab: every byte of the configuration
/// space that a device has, the capabilities in their order, the kinds and sizes of the BARs. What differs is listed here, with the reason.
/// </summary>
[Trait("Category", "Nested")]
public sealed class PassthroughViewTests(PassthroughViewTests.Runs runs) : IClassFixture<PassthroughViewTests.Runs>
{
    private const int CapabilityPointer = 0x34;
    private const int ExtendedStart = 0x100;

    // Not of the device: QEMU's firmware has switched on decoding and bus mastering (the guest's drivers do that with us), numbered the
    // interrupt line, and placed the BARs.
    private static readonly int[] SetByFirmware =
        [0x04, 0x05, 0x3c, .. Enumerable.Range(0x10, 0x18), .. Enumerable.Range(0x30, 4)];

    public static TheoryData<int, string> Devices => new()
    {
        { 1, "nvme" }, { 2, "e1000e" }, { 3, "edu" }, { 4, "qemu-xhci" }, { 5, "ahci" }, { 6, "rtl8139" }, { 7, "intel-hda" }, { 8, "pci-testdev" },
        { 9, "virtio-blk-pci" },
    };

    [NestedTheory]
    [MemberData(nameof(Devices))]
    [Trait("Behaviour", "VFIO-2")]
    public void The_guest_sees_of_a_device_what_it_sees_under_QEMU(int slot, string device)
    {
        View ours = runs.Ours[slot];
        View theirs = runs.Theirs[slot];
        ours.Id.Should().Be(theirs.Id, "it is {0} in both", device);
        ours.Bars.Should().Equal(theirs.Bars);
        ours.Configuration.Length.Should().Be(theirs.Configuration.Length, "PCI Express devices have 4096 bytes, others 256");
        foreach (int offset in Enumerable.Range(0, ours.Configuration.Length).Except(SetByFirmware))
        {
            // QEMU shows the pointer of rtl8139, whose status register says that there is no list.
            if (offset != CapabilityPointer || ours.HasCapabilities)
            {
                ours.Configuration[offset].Should().Be(theirs.Configuration[offset], "byte 0x{0:x} of {1}", offset, device);
            }
        }

        ours.Capabilities.Should().Equal(ours.HasCapabilities ? theirs.Capabilities : []);
        ours.ExtendedCapabilities.Should().Equal(theirs.ExtendedCapabilities);
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-6")]
    public void A_disk_that_could_have_virtual_functions_behind_a_port_shows_none_of_that()
    {
        View ours = runs.Ours[10];
        ours.Id.Should().Be(runs.Ours[1].Id, "it is an nvme as well");
        runs.VirtualFunctions.Should().Be("2");
        ours.ExtendedCapabilities.Should().NotContain([0x10, 0x0e, 0x15]);
        ours.Capabilities.Should().Equal(runs.Theirs[10].Capabilities);
        ours.Bars.Should().Equal(runs.Theirs[10].Bars);
        ours.Configuration[..ExtendedStart].Where((_, offset) => !SetByFirmware.Contains(offset))
            .Should().Equal(runs.Theirs[10].Configuration[..ExtendedStart].Where((_, offset) => !SetByFirmware.Contains(offset)));
    }

    /// <summary>One device as a guest printed it.</summary>
    public sealed record View(string Id, byte[] Configuration, IReadOnlyList<string> Bars)
    {
        /// <summary>The status register says so.</summary>
        public bool HasCapabilities => (Configuration[6] & 0x10) != 0;

        /// <summary>Ids in the order of the list.</summary>
        public IReadOnlyList<int> Capabilities
        {
            get
            {
                List<int> found = [];
                for (int at = HasCapabilities ? Configuration[CapabilityPointer] : 0; at != 0; at = Configuration[at + 1])
                {
                    found.Count.Should().BeLessThan(48, "the list ends");
                    found.Add(Configuration[at]);
                }

                return found;
            }
        }

        /// <summary>Ids in the order of the list, without what was hidden by an id of 0.</summary>
        public IReadOnlyList<int> ExtendedCapabilities
        {
            get
            {
                List<int> found = [];
                for (int at = Configuration.Length > ExtendedStart ? ExtendedStart : 0; at != 0; at = BitConverter.ToInt32(Configuration, at) >>> 20)
                {
                    found.Count.Should().BeLessThan(960, "the list ends");
                    found.Add(BitConverter.ToUInt16(Configuration, at));
                }

                return [.. found.Where(id => id != 0)];
            }
        }

        /// <summary>Reads what the guest printed, by slot of the root bus.</summary>
        public static IReadOnlyDictionary<int, View> Parse(string console)
        {
            return console.Split("VIEW ").Skip(1).Select(section => section.ReplaceLineEndings("\n").Split('\n'))
                .Where(lines => lines[0].EndsWith(".0", StringComparison.Ordinal))
                .ToDictionary(lines => int.Parse(lines[0][^4..^2], NumberStyles.HexNumber), lines => new View(
                    lines[0][..^13],
                    [.. lines.Skip(1).Where(line => line.Length == 32 && line.All(char.IsAsciiHexDigit)).SelectMany(Convert.FromHexString)],
                    [.. lines.Where(line => line.StartsWith("BAR", StringComparison.Ordinal))]));
        }
    }

    /// <summary>A guest of ours and one of QEMU's, in one boot of the lab.</summary>
    public sealed class Runs
    {
        // A name of the form 0000:00:01.0 ends the line.
        private const string Print = """
            dmesg -n 1
            sleep 1
            for d in /sys/bus/pci/devices/0000:00:*; do
                echo "VIEW $(cat $d/vendor) $(cat $d/device) $(basename $d)"
                hexdump -v -e '16/1 "%02x" "\n"' $d/config
                head -n 7 $d/resource | { i=0; while read -r first last flags; do
                    [ $flags = 0x0000000000000000 ] || echo "BAR $i $((last - first + 1)) $flags"
                    i=$((i + 1))
                done; }
            done
            """;

        // The disk behind the port is not of the lab's --vfio, and bound here.
        private const string Bind = """
            port=0000:01:00.0
            echo vfio-pci >/sys/bus/pci/devices/$port/driver_override
            if [ -e /sys/bus/pci/devices/$port/driver ]; then echo $port >/sys/bus/pci/devices/$port/driver/unbind; fi
            if [ ! -e /sys/bus/pci/devices/$port/driver ]; then echo $port >/sys/bus/pci/drivers_probe; fi
            echo "VIRTUAL-FUNCTIONS $(cat /sys/bus/pci/devices/$port/sriov_totalvfs)"
            """;

        private const string Qemu =
            "qemu-system-x86_64 -M q35,accel=kvm,kernel-irqchip=on -cpu host -m 512 -nodefaults -vga none -display none -no-reboot "
            + "-serial file:console -kernel $KERNEL -initrd $INITRAMFS -append \"$CMDLINE\"";

        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results = new(Execute);

        public IReadOnlyDictionary<int, View> Ours => ViewsOf("ours");

        public IReadOnlyDictionary<int, View> Theirs => ViewsOf("qemu");

        /// <summary>Virtual functions that the disk behind the port can have, as the lab's kernel says.</summary>
        public string VirtualFunctions => _results.Value["ours"].Note("VIRTUAL-FUNCTIONS");

        private IReadOnlyDictionary<int, View> ViewsOf(string name)
        {
            LabResult result = _results.Value[name];
            result.ShouldHavePassed();
            return View.Parse(result.Console);
        }

        private static IReadOnlyDictionary<string, LabResult> Execute()
        {
            DirectoryInfo folder = Directory.CreateTempSubdirectory("vmmdevices-nested.");
            try
            {
                string[] drives = ["nvme", "virtio"];
                foreach (string name in drives)
                {
                    File.WriteAllBytes(Path.Combine(folder.FullName, name), new byte[8 << 20]);
                }

                string[] devices =
                [
                    "nvme,serial=1,drive=nvme", "e1000e", "edu", "qemu-xhci", "ahci", "rtl8139", "intel-hda", "pci-testdev",
                    "virtio-blk-pci,drive=virtio,iommu_platform=on,disable-legacy=on",
                ];
                string[] more =
                [
                    .. drives.SelectMany(name => new[] { "-drive", $"if=none,id={name},format=raw,file={folder.FullName}/{name}" }),
                    "-device", "pcie-root-port,id=above,addr=0x1c,chassis=1", "-device", "nvme-subsys,id=subsystem",
                    "-device",
                    "nvme,serial=2,bus=above,subsys=subsystem,sriov_max_vfs=2,sriov_vq_flexible=4,sriov_vi_flexible=2,max_ioqpairs=8,msix_qsize=9",
                ];
                string[] addresses = [.. Enumerable.Range(0x10, devices.Length).Select(slot => $"0000:00:{slot:x2}.0"), "0000:01:00.0"];
                LabCase[] cases =
                [
                    new("ours", "--rng off" + string.Concat(addresses.Select(address => $" --device path=/sys/bus/pci/devices/{address}")))
                    {
                        Before = Bind,
                        Guest = Print,
                        TimeoutSeconds = 900,
                    },
                    new("qemu")
                    {
                        Guest = Print,
                        TimeoutSeconds = 900,
                        Command = Qemu + string.Concat(addresses.Select(address => $" -device vfio-pci,host={address}")),
                    },
                ];
                return LabSession.Run(
                    cases,
                    options: [.. devices.SelectMany(device => new[] { "--vfio", device }), .. more.SelectMany(word => new[] { "--qemu", word })]);
            }
            finally
            {
                folder.Delete(recursive: true);
            }
        }
    }
}
