using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>
/// The guests of <see cref="PassthroughTests"/> and <see cref="PassthroughLongTests"/>, in one boot of a lab that has nine devices.
/// </summary>
public abstract class PassthroughRuns
{
    private const string Modules = "nvme e1000e xhci_pci hid-generic usbhid ahci sd_mod 8139cp snd_hda_codec_generic snd_hda_intel uio_pci_generic";
    private const string Hand = " --disk path=hand,serial=hand";

    private static readonly string All = "--rng off " + string.Join(' ', Enumerable.Range(0, 9).Select(Device));

    private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results;

    /// <summary>Runs guests when the first result is asked for.</summary>
    /// <param name="names">Which, of those below.</param>
    protected PassthroughRuns(params IReadOnlyList<string> names)
    {
        byte[] content = RandomNumberGenerator.GetBytes(16 << 20);
        Digest = Convert.ToHexStringLower(SHA256.HashData(content.AsSpan(0, 2 << 20)));
        _results = new(() => Execute(content, names));
    }

    /// <summary>Each device by the name it has here, in the order of the lab's slots, with its driver in the guest.</summary>
    public static IReadOnlyList<(string Name, string Modules)> Devices { get; } =
    [
        ("nvme", "nvme"), ("e1000e", "e1000e"), ("edu", "uio_pci_generic"), ("xhci", "xhci_pci hid-generic usbhid"), ("sata", "ahci sd_mod"),
        ("rtl8139", "8139cp"), ("hda", "snd_hda_codec_generic snd_hda_intel"), ("testdev", ""), ("virtio", ""),
    ];

    /// <summary>How often the guest takes devices from their drivers.</summary>
    public static int Rebinds => Soak.On ? 20 : 2;

    /// <summary>How often the guest reboots.</summary>
    public const int Reboots = 10;

    /// <summary>Digest of the first 2 MiB of each disk, which nobody writes.</summary>
    public string Digest { get; }

    public LabResult this[string name] => _results.Value[name];

    internal void DiskShouldHaveWorked(string run, string disk)
    {
        this[run].ShouldHavePassed();
        this[run].Fact($"SUM-{disk}").Should().Be(Digest);
        this[run].Fact($"KEPT-{disk}").Should().Be("yes");
    }

    internal void CardShouldHaveWorked(string run, string driver)
    {
        this[run].ShouldHavePassed();
        this[run].Fact($"LINK-{driver}").Should().Be("1");
        this[run].Fact($"PING-{driver}").Should().Be("3");
    }

    internal void EducationalDeviceShouldHaveWorked(string run)
    {
        this[run].ShouldHavePassed();
        this[run].Fact("IDENTIFICATION").Should().Be("010000ed");
        this[run].Fact("FACTORIAL").Should().Be("3628800");
        this[run].Fact("DMA").Should().Be("right");
        this[run].Fact("PIN").Should().Be("20");
        this[run].Fact("MESSAGES").Should().Be("20");
    }

    private static Dictionary<string, LabResult> Execute(byte[] content, IReadOnlyList<string> names)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("vmmdevices-nested.");
        try
        {
            string[] drives = ["nvme", "sata", "virtio"];
            foreach (string name in drives)
            {
                File.WriteAllBytes(Path.Combine(folder.FullName, name), content);
            }

            foreach (string program in new[] { "edu-guest", "testdev-guest" })
            {
                LabSession.Compile($"Vmm.Tests/Nested/GuestPrograms/{program}.c", Path.Combine(folder.FullName, program));
            }

            string[] devices =
            [
                "nvme,serial=1,drive=nvme", "e1000e,netdev=one", "edu", "qemu-xhci,id=usb", "ahci,id=sata", "rtl8139,netdev=two",
                "intel-hda,id=sound",
                "pci-testdev", "virtio-blk-pci,drive=virtio,iommu_platform=on,disable-legacy=on",
            ];
            string[] more =
            [
                .. drives.SelectMany(name => new[] { "-drive", $"if=none,id={name},format=raw,file={folder.FullName}/{name}" }),
                "-netdev", "user,id=one,restrict=on,net=10.0.2.0/24", "-netdev", "user,id=two,restrict=on,net=10.0.3.0/24",
                "-device", "ide-hd,drive=sata,bus=sata.0", "-device", "usb-kbd,bus=usb.0",
                "-audiodev", "none,id=silence", "-device", "hda-duplex,bus=sound.0,audiodev=silence",
            ];
            return LabSession.Run(
                [.. Cases(folder.FullName).Where(run => names.Contains(run.Name))],
                memory: 3072,
                options: [.. devices.SelectMany(device => new[] { "--vfio", device }), .. more.SelectMany(word => new[] { "--qemu", word })])
                .ToDictionary();
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static string Device(int index) => $"--device path=/sys/bus/pci/devices/0000:00:{0x10 + index:x2}.0";

    private static LabCase[] Cases(string folder)
    {
        string sources = Repository.PathOf("Vmm.Tests/Nested/GuestPrograms");
        string inLab = $". {sources}/passthrough-lab.sh\n";
        string[] files =
            [$"{folder}/edu-guest=/bin/edu-guest", $"{folder}/testdev-guest=/bin/testdev-guest", $"{sources}/passthrough.sh=/bin/passthrough"];
        var common = new LabCase("", All)
        {
            Flavour = "amd64",
            Memory = "size=200M",
            Modules = Modules,
            Files = files,
            CommandLine = "nokaslr init_on_alloc=0 apparmor=0 cryptomgr.notests audit=0 nowatchdog tsc=reliable no_timer_check "
                + "rcupdate.rcu_expedited=1",
            TimeoutSeconds = 600,
        };
        string ownDrivers = inLab + """
            set -- $LAB_VFIO
            host_driver nvme nvme $1
            host_driver e1000e e1000e $2
            host_driver sata "ahci sd_mod" $5
            host_driver virtio "" $9
            """;
        return
        [
            common with
            {
                Name = "killed",
                Guest = ". /bin/passthrough\nbusy; sleep 1; echo 'AT BUSY'; sleep 100",
                Beside = inLab + "strike -KILL",
                After = ownDrivers,
            },
            common with
            {
                Name = "all",
                Arguments = All + Hand,
                Guest = $$"""
                    . /bin/passthrough
                    everything; counts START; lab START; counts STARTED; disk nvme; disk sata; disk virtio; counts END; lab END; counts ENDED
                    testdev; educational
                    for d in nvme e1000e xhci_hcd ahci 8139cp snd_hda_intel virtio-pci; do echo "DRIVER-$d $(ls -d /sys/bus/pci/drivers/$d/0000:* | wc -l)"; done
                    cat /proc/interrupts
                    echo "MESSAGE-LINES $(grep -c PCI-MSI /proc/interrupts)"
                    echo "PIN-LINES $(grep -E 'nvme|eth|xhci|ahci|snd|virtio' /proc/interrupts | grep -c fasteoi)"
                    echo flr >$(dev 1b36:0x0010)/reset_method; echo 1 >$(dev 1b36:0x0010)/reset && echo "RESET done"
                    dd if=/dev/nvme0n1 bs=64k count=32 iflag=direct 2>/dev/null | cmp - /dev/nvme0n1 -n 2097152 && echo "AFTER-RESET same"
                    lab BEFORE
                    rebind {{Rebinds}}
                    everything; lab AFTER
                    echo "MESSAGE-LINES-AFTER $(grep -c PCI-MSI /proc/interrupts)"
                    mode 0; mode 2
                    dmesg -r | grep -E '^<[0-3]>' | head
                    true
                    """,
                Before = inLab + "truncate -s 1M hand; watch_slots",
                Beside = inLab + "serve",
                TimeoutSeconds = 900 + (Rebinds * 20),
            },
            common with
            {
                Name = "pins",
                CommandLine = common.CommandLine + " pci=nomsi",
                Guest = """
                    . /bin/passthrough
                    everything
                    educational pin
                    cat /proc/interrupts
                    echo "MESSAGE-LINES $(grep -c PCI-MSI /proc/interrupts)"
                    dmesg -r | grep -E '^<[0-3]>' | head
                    true
                    """,
            },
            .. Devices.Select((device, i) => common with
            {
                Name = "alone-" + device.Name,
                Arguments = Device(i),
                Modules = device.Modules,
                Memory = "size=128M",
                Guest = $". /bin/passthrough\nalone {device.Name}\nsed -n 1,40p /proc/interrupts\ndmesg -r | grep -E '^<[0-3]>' | head",
            }),

            // The lab's e1000e is not reset by the kernel (QEMU 7.2 ignores what its power management promises), so what leaves it running comes
            // last.
            common with
            {
                Name = "terminated",
                Guest = ". /bin/passthrough\nbusy; sleep 1; echo 'AT BUSY'; sleep 100",
                Beside = inLab + "strike -TERM",
                After = ownDrivers,
            },
            common with
            {
                Name = "reboot",
                Arguments = All + Hand,
                NoReboot = false,
                Guest = $"""
                    . /bin/passthrough
                    disk nvme; disk sata; disk virtio; up e1000e; up 8139cp; keyboard; codec
                    n=$(dd if=/dev/$(node hand) bs=512 skip=1 count=1 iflag=direct 2>/dev/null | tr -d '\0'); n=$(($n + 1))
                    echo "BOOT $n $(grep -c PCI-MSI /proc/interrupts)"
                    echo $n | dd of=/dev/$(node hand) bs=512 seek=1 conv=sync,fsync,notrunc 2>/dev/null
                    lab BOOT-$n
                    [ $n -gt {Reboots} ] || reboot -f
                    """,
                Before = inLab + "truncate -s 1M hand; watch_slots",
                Beside = inLab + "serve",
                TimeoutSeconds = 300 + (Reboots * 90),
            },
        ];
    }
}
