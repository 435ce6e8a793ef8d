using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>Nine real devices of the lab, passed to one Linux guest at once, each used by its driver or, where there is none, from user space.</summary>
[Trait("Category", "Nested")]
[Trait("Behaviour", "VFIO-14")]
public sealed class PassthroughTests(PassthroughTests.Runs runs) : IClassFixture<PassthroughTests.Runs>
{
    [NestedFact]
    [Trait("Behaviour", "VFIO-2")]
    public void All_nine_at_once_have_their_drivers()
    {
        runs["all"].ShouldHavePassed();
        runs["all"].Errors.Should().BeEmpty();
        foreach (string driver in new[] { "nvme", "e1000e", "xhci_hcd", "ahci", "8139cp", "snd_hda_intel", "virtio-pci" })
        {
            runs["all"].Fact($"DRIVER-{driver}").Should().Be("1");
        }
    }

    [NestedTheory]
    [InlineData("nvme0n1")]
    [InlineData("sda")]
    [InlineData("vda")]
    [Trait("Behaviour", "VFIO-11")]
    public void Disks_read_as_the_host_has_them_and_keep_what_is_written(string disk)
    {
        runs["all"].Fact($"SUM-{disk}").Should().Be(runs.Digest);
        runs["all"].Fact($"KEPT-{disk}").Should().Be("yes");
    }

    [NestedTheory]
    [InlineData("e1000e")]
    [InlineData("8139cp")]
    [Trait("Behaviour", "VFIO-9")]
    public void Network_cards_have_a_link_and_traffic(string driver)
    {
        runs["all"].Fact($"LINK-{driver}").Should().Be("1");
        runs["all"].Fact($"PING-{driver}").Should().Be("3");
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-8")]
    [Trait("Behaviour", "VFIO-9")]
    public void The_educational_device_computes_copies_and_interrupts_by_pin_and_by_message()
    {
        runs["all"].Fact("IDENTIFICATION").Should().Be("010000ed");
        runs["all"].Fact("FACTORIAL").Should().Be("3628800");
        runs["all"].Fact("DMA").Should().Be("right");
        runs["all"].Fact("PIN").Should().Be("20");
        runs["all"].Fact("MESSAGES").Should().Be("20");
    }

    [NestedFact]
    [Trait("Behaviour", "VFIO-4")]
    public void The_test_device_counts_what_the_guest_writes() => runs["all"].Fact("COUNTED").Should().Be("5");

    [NestedFact]
    public void A_keyboard_behind_the_usb_controller_is_found() => runs["all"].Fact("KEYBOARD").Should().Be("1");

    [NestedFact]
    public void The_codec_behind_the_sound_controller_is_found() => runs["all"].Fact("CODEC").Should().Be("1");

    [NestedFact]
    [Trait("Behaviour", "VFIO-9")]
    public void Interrupts_are_messages_where_the_device_has_them_and_the_pin_otherwise()
    {
        int.Parse(runs["all"].Fact("MESSAGE-LINES")).Should().BeGreaterThan(8);
        runs["all"].Fact("PIN-LINES").Should().Be("1", "one of the cards has a pin only");
    }

    public sealed class Runs
    {
        private const string Library = """
            dev() { for d in /sys/bus/pci/devices/*; do [ "$(cat $d/vendor):$(cat $d/device)" = "0x$1" ] && echo $d; done; }
            disk() {
                for i in $(seq 100); do [ -b /dev/$1 ] && break; sleep 0.1; done
                echo "SUM-$1 $(dd if=/dev/$1 bs=1M count=8 iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
                dd if=/dev/urandom of=/tmp/$1 bs=256k count=4 2>/dev/null
                dd if=/tmp/$1 of=/dev/$1 bs=256k seek=32 oflag=direct conv=notrunc,fsync 2>/dev/null
                dd if=/dev/$1 bs=256k skip=32 count=4 iflag=direct 2>/dev/null | cmp - /tmp/$1 && echo "KEPT-$1 yes"
            }
            card() {
                for n in /sys/class/net/*; do [ "$(basename $(readlink $n/device/driver) 2>/dev/null)" = $1 ] && nic=$(basename $n); done
                ip link set $nic up
                for i in $(seq 100); do [ "$(cat /sys/class/net/$nic/carrier)" = 1 ] && break; sleep 0.1; done
                echo "LINK-$1 $(cat /sys/class/net/$nic/carrier)"
                ip addr add $2.15/24 dev $nic
                echo "PING-$1 $(ping -c 3 -i 0.3 -W 10 -I $nic $2.2 | awk '/packets transmitted/ { print $4 }')"
                ip addr del $2.15/24 dev $nic
            }
            educational() {
                d=$(dev 1234:0x11e8)
                echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id
                edu-guest $d /dev/uio0
                basename $d >/sys/bus/pci/drivers/uio_pci_generic/unbind
                edu-guest $d
            }
            testdev() { testdev-guest $(dev 1b36:0x0005); }
            codec() { for i in $(seq 100); do [ -e /sys/bus/hdaudio/devices/hdaudioC0D0 ] && break; sleep 0.1; done; echo "CODEC $(ls /sys/bus/hdaudio/devices | grep -c hdaudioC0D0)"; }
            keyboard() { for i in $(seq 100); do grep -q Keyboard /sys/bus/usb/devices/*/product && break; sleep 0.1; done; echo "KEYBOARD $(cat /sys/bus/usb/devices/*/product | grep -c Keyboard)"; }
            """;

        private const string Everything = Library + """

            disk nvme0n1; disk sda; disk vda
            card e1000e 10.0.2; card 8139cp 10.0.3
            testdev; keyboard; codec
            educational
            for d in nvme e1000e xhci_hcd ahci 8139cp snd_hda_intel virtio-pci; do echo "DRIVER-$d $(ls -d /sys/bus/pci/drivers/$d/0000:* | wc -l)"; done
            grep -E 'nvme|eth|xhci|ahci|snd|virtio' /proc/interrupts
            echo "MESSAGE-LINES $(grep -c PCI-MSI /proc/interrupts)"
            echo "PIN-LINES $(grep -E 'nvme|eth|xhci|ahci|snd|virtio' /proc/interrupts | grep -c fasteoi)"
            dmesg -r | grep -E '^<[0-3]>' | head
            true
            """;

        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results;

        public Runs()
        {
            byte[] content = RandomNumberGenerator.GetBytes(16 << 20);
            Digest = Convert.ToHexStringLower(SHA256.HashData(content.AsSpan(0, 8 << 20)));
            _results = new(() => Execute(content));
        }

        /// <summary>Digest of the first 8 MiB of each disk, which nobody writes.</summary>
        public string Digest { get; }

        public LabResult this[string name] => _results.Value[name];

        private static Dictionary<string, LabResult> Execute(byte[] content)
        {
            var folder = Directory.CreateTempSubdirectory("vmmdevices-nested.");
            try
            {
                foreach (string name in new[] { "nvme", "sata", "virtio" })
                {
                    File.WriteAllBytes(Path.Combine(folder.FullName, name), content);
                }

                foreach (string program in new[] { "edu-guest", "testdev-guest" })
                {
                    LabSession.Compile($"Vmm.Tests/Nested/GuestPrograms/{program}.c", Path.Combine(folder.FullName, program));
                }

                string[] devices =
                [
                    "nvme,serial=1,drive=nvme", "e1000e,netdev=one", "edu", "qemu-xhci,id=usb", "ahci,id=sata", "rtl8139,netdev=two", "intel-hda,id=sound",
                    "pci-testdev", "virtio-blk-pci,drive=virtio,iommu_platform=on,disable-legacy=on",
                ];
                string[] more =
                [
                    .. new[] { "nvme", "sata", "virtio" }.SelectMany(name => new[] { "-drive", $"if=none,id={name},format=raw,file={folder.FullName}/{name}" }),
                    "-netdev", "user,id=one,restrict=on,net=10.0.2.0/24", "-netdev", "user,id=two,restrict=on,net=10.0.3.0/24",
                    "-device", "ide-hd,drive=sata,bus=sata.0", "-device", "usb-kbd,bus=usb.0",
                    "-audiodev", "none,id=silence", "-device", "hda-duplex,bus=sound.0,audiodev=silence",
                ];
                var results = LabSession.Run(
                    Cases(folder.FullName),
                    memory: 3072,
                    options: [.. devices.SelectMany(device => new[] { "--vfio", device }), .. more.SelectMany(word => new[] { "--qemu", word })]);
                return results.ToDictionary();
            }
            finally
            {
                folder.Delete(recursive: true);
            }
        }

        private static LabCase[] Cases(string folder)
        {
            return
            [
                new LabCase("all", "$(for a in $LAB_VFIO; do echo --device path=/sys/bus/pci/devices/$a; done)")
                {
                    Flavour = "amd64",
                    Memory = "size=200M",
                    Modules = "nvme e1000e xhci_pci hid-generic usbhid ahci sd_mod 8139cp snd_hda_codec_generic snd_hda_intel uio_pci_generic",
                    Files = [$"{folder}/edu-guest=/bin/edu-guest", $"{folder}/testdev-guest=/bin/testdev-guest"],
                    Guest = Everything,
                    CommandLine = "nokaslr init_on_alloc=0 apparmor=0 cryptomgr.notests audit=0 nowatchdog tsc=reliable no_timer_check rcupdate.rcu_expedited=1",
                    TimeoutSeconds = 900,
                },
            ];
        }
    }
}
