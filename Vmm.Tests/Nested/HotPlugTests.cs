using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Vmm.Tests.Nested;

/// <summary>Linux's pciehp on root ports whose slots are filled and emptied while the guest runs, without a rescan (PCI-12).</summary>
/// <remarks>
/// The machine is run by Nested/HotPlugHost. Orderly removals are asked for by the attention button, so that each waits for the five seconds in
/// which a person could press it again; that is why several ports work at once.
/// </remarks>
[Trait("Category", "Nested")]
[Trait("Behaviour", "PCI-12")]
public sealed class HotPlugTests(HotPlugTests.Runs runs) : IClassFixture<HotPlugTests.Runs>
{
    private const int Ports = 5;
    private const int Rounds = 10;
    private const int PlainRounds = 10;

    [NestedFact]
    public void Fifty_disks_come_and_go_in_order_and_leave_nothing()
    {
        LabResult result = runs["cloud"];
        ShouldHaveEnded(result);
        for (int port = 1; port <= Ports; port++)
        {
            result.Note($"ROUNDS-{port}").Should().Be($"{Rounds}");
            result.Console.Split('\n').Count(line => line.StartsWith($"P{port}-GONE", StringComparison.Ordinal)).Should().Be(Rounds);
        }

        result.Note($"LEFT-disks:{Ports}x{Rounds}").Should().Be("nothing");
        result.Fact("BUTTONS").Should().Be($"{(Ports * Rounds) + 1}", "each orderly removal was asked for by the attention button");
        result.Fact("MSI").Should().Be($"{Ports}", "each port's service has a message");
    }

    [NestedFact]
    public void A_network_card_works_and_goes()
    {
        runs["cloud"].Note("PINGED").Should().Be("3");
        runs["cloud"].Note("LEFT-net").Should().Be("nothing");
    }

    [NestedFact]
    public void A_function_that_vanishes_while_it_is_looked_at_is_released()
    {
        LabResult result = runs["cloud"];
        ShouldHaveEnded(result);
        result.Console.Split('\n').Count(static line => line.StartsWith("PLAIN-GONE", StringComparison.Ordinal)).Should().Be(PlainRounds);
        result.Note($"LEFT-plain:{PlainRounds}").Should().Be("nothing");
    }

    [NestedTheory]
    [InlineData("cloud")]
    [InlineData("intx")]
    [InlineData("amd64")]
    public void The_kernel_says_only_what_a_hot_plug_makes_it_say(string name)
    {
        LabResult result = runs[name];
        ShouldHaveEnded(result);
        result.Fact("UNEXPECTED").Should().Be("0", "{0}", result.Console);
    }

    [NestedTheory]
    [InlineData("intx", "IO-APIC")]
    [InlineData("amd64", "PCI-MSI")]
    public void Other_kernels_and_interrupts_do_the_same(string name, string interrupt)
    {
        LabResult result = runs[name];
        ShouldHaveEnded(result);
        result.Note("ROUNDS-1").Should().Be("2");
        result.Note("ROUNDS-2").Should().Be("2");
        result.Note("LEFT-disks:2x2").Should().Be("nothing");
        result.Fact("BUTTONS").Should().Be("4");
        result.Fact("PORT-INTERRUPT").Should().Be(interrupt);
    }

    [NestedFact]
    public void A_disk_that_vanishes_in_the_middle_of_its_work_leaves_nothing_in_the_host_and_the_guest_lives()
    {
        LabResult result = runs["lost"];
        result.Status.Should().Be(0, "{0}{1}{2}", result.Errors, result.Notes, result.Console);
        result.Note("LEFT-lost").Should().Be("nothing");
        result.Note("ENDED").Should().Be("Stopped");
    }

    private static void ShouldHaveEnded(LabResult result)
    {
        result.Status.Should().Be(0, "{0}{1}{2}", result.Errors, result.Notes, result.Console);
        result.ShouldHavePassed();
        result.Note("ENDED").Should().Be("PowerOff");
    }

    public sealed class Runs
    {
        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results = new(() => LabSession.Run(Cases));

        public LabResult this[string name] => _results.Value[name];

        private static LabCase[] Cases { get; } =
        [
            Case("cloud", Ports, $"disks:{Ports}x{Rounds},net,plain:{PlainRounds}", Disks(Ports, Rounds) + Net + Plain) with { Processors = 2 },
            Case("intx", 2, "disks:2x2", Disks(2, 2), "pci=nomsi pcie_ports=native"),
            Case("amd64", 2, "disks:2x2 power=on", Disks(2, 2, pause: 2)) with { Flavour = "amd64" },
            Case("lost", 1, "lost", Lost),
        ];

        private const string Net = """
            echo STEP-net
            dev=/sys/bus/pci/devices/0000:01:00.0
            while :; do for link in $dev/virtio*/net/*; do [ -e "$link" ] && break 2; done; sleep 0.2; done
            link=${link##*/}
            ip link set $link up; ip addr add 192.168.57.2/24 dev $link
            echo "PING $(ping -c 3 -i 0.2 -W 5 192.168.57.1 | awk '/packets transmitted/ { print $4 }')"
            while [ -e $dev ]; do sleep 0.3; done
            [ -e /sys/class/net/$link ] || echo NET-GONE

            """;

        private const string Plain = """
            echo STEP-plain
            rounds=0
            while [ $rounds -lt 10 ]; do
                while [ ! -e $dev/device ]; do sleep 0.1; done
                echo "SEEN $(cat $dev/class) $(cat $dev/device)"
                # Its registers are read until it is gone; from then on they are all-ones.
                while [ -e $dev ]; do cat $dev/config >/tmp/config 2>/dev/null; done
                echo PLAIN-GONE
                rounds=$((rounds + 1))
            done

            """;

        private const string Lost = """
            echo STEP-lost
            while :; do for block in /sys/bus/pci/devices/0000:01:00.0/virtio*/block/*; do [ -e "$block" ] && break 2; done; sleep 0.2; done
            echo "READING $(dd if=/dev/${block##*/} bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
            ( while dd if=/dev/${block##*/} of=/dev/null bs=64k iflag=direct; do :; done ) 2>/dev/null &
            sleep 3
            ls -d /sys/bus/pci/devices/* | wc -l
            echo ALIVE
            sleep 100

            """;

        /// <summary>A loop for each port, which reads the disk for its digest; the first one reads on and on until it is taken away.</summary>
        /// <remarks>
        /// The pause is for slots with power control: a device that is added in the second after the power went off is misunderstood.
        /// </remarks>
        private static string Disks(int ports, int rounds, int pause = 0) => $$"""
            echo STEP-disks
            port() {
                dev=/sys/bus/pci/devices/0000:0$1:00.0
                round=0
                while [ $round -lt {{rounds}} ]; do
                    while :; do for block in $dev/virtio*/block/*; do [ -e "$block" ] && break 2; done; sleep 0.2; done
                    disk=/dev/${block##*/}
                    while [ ! -b $disk ]; do sleep 0.1; done
                    echo "P$1-SUM $(dd if=$disk bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
                    while [ $1 = 1 ] && [ -e "$block" ]; do dd if=$disk of=/dev/null bs=64k iflag=direct 2>/dev/null; done
                    while [ -e $dev ]; do sleep 0.3; done
                    sleep {{pause}}
                    [ -e "$block" ] || echo "P$1-GONE"
                    round=$((round + 1))
                done
            }
            for p in $(seq {{ports}}); do port $p & done
            wait

            """;

        private static LabCase Case(string name, int ports, string steps, string script, string commandLine = "")
        {
            string program = Path.Combine(AppContext.BaseDirectory, "HotPlugHost");
            return new LabCase(name)
            {
                Command = $"{program} kernel=$KERNEL initramfs=$INITRAMFS console=console cmdline=\"$CMDLINE\" "
                    + $"cpus={(name == "cloud" ? 2 : 1)} ports={ports} steps={steps}",
                CommandLine = commandLine,
                TimeoutSeconds = 900,
                Guest = script + Report,
            };
        }

        // Errors of any kind are unexpected, and warnings of what has to do with functions and disks.
        private const string Report = """
            grep pciehp /proc/interrupts
            echo "MSI $(grep -c 'PCI-MSI.*pciehp' /proc/interrupts)"
            echo "PORT-INTERRUPT $(awk '/pciehp/ { for (i = 2; i <= NF; i++) if ($i ~ /^(PCI-MSI|IO-APIC)/) { print $i; exit } }' /proc/interrupts)"
            echo "BUTTONS $(dmesg | grep -c 'Powering off due to button press')"
            dmesg -r | grep -E '^<[0-3]>|^<4>.*(pci|virtio|vd[a-e]|block)'
            echo "UNEXPECTED $(dmesg -r | grep -cE '^<[0-3]>|^<4>.*(pci|virtio|vd[a-e]|block)')"
            dmesg | grep -E 'pciehp|pcieport|_OSC' | head -n 60
            """;
    }
}
