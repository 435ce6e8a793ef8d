using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>The API as its clients ask it, byte by byte (Nested/ApiClient), and <c>vmm ctl</c>, each with a Linux guest (CTL-1 to CTL-5).</summary>
[Trait("Category", "Nested")]
[Trait("Behaviour", "CTL-1")]
public sealed class ApiTests(ApiTests.Runs runs) : IClassFixture<ApiTests.Runs>
{
    private const int Workers = 7;
    private const int Rounds = 3;

    [NestedFact]
    public void Libvirt_finds_a_version_it_can_use()
    {
        Passed("libvirt").Note("VERSION").Should().MatchRegex("^cloud-hypervisor v(4[0-9]|[5-9][0-9])\\.[0-9]+\\.[0-9]+$");
    }

    [NestedFact]
    public void Libvirt_finds_the_threads_of_vcpus_and_devices()
    {
        Passed("libvirt").Note("THREADS-AT-BOOT").Split(' ').Should().Contain("vcpu0", "it is pinned before anything else is done");
        Passed("libvirt").Note("THREADS").Split(' ').Should().Contain("vcpu0").And.Contain(static name => name.StartsWith("_disk"))
            .And.Contain(static name => name.StartsWith("_net")).And.Contain(static name => name.StartsWith("_rng"));
    }

    [NestedFact]
    public void Libvirt_reads_both_consoles_on_their_pseudo_terminals()
    {
        LabResult result = Passed("libvirt");
        result.Note("SERIAL").Should().MatchRegex("^/dev/pts/[0-9]+$");
        result.Note("SECOND-CONSOLE").Should().Be("speaks");
        result.Note("SAME-SERIAL").Should().Be("yes", "whoever has it open keeps it over a reboot");
    }

    [NestedTheory]
    [InlineData(1)]
    [InlineData(2)]
    public void Libvirts_guest_has_its_disk_and_the_tap_that_came_as_a_descriptor_after_each_boot(int boot)
    {
        LabResult result = Passed("libvirt");
        result.Note($"MAC-{boot}").Should().Be("52:54:00:c1:0d:01");
        result.Note($"SUM-{boot}").Should().Be(runs.Digest);
        result.Note($"PING-{boot}").Should().Be("3");
    }

    [NestedFact]
    public void Libvirts_guest_stands_still_while_it_is_suspended()
    {
        LabResult result = Passed("libvirt");
        result.Note("COUNTED-WHILE-PAUSED").Should().Be("0");
        result.Note("COUNTS-AFTER").Should().Be("on");
    }

    [NestedFact]
    public void Libvirt_hears_of_everything_in_order_and_nothing_is_left()
    {
        LabResult result = Passed("libvirt");
        result.Note("EVENTS").Should().Be(
            "vmm:starting vm:booting vm:booted vm:pausing vm:paused vm:resuming vm:resumed "
                + "vm:rebooting vm:rebooted vm:shutdown vm:deleted vmm:shutdown");
        result.Note("EXIT").Should().Be("0");
        result.Note("TAP-LEFT").Should().Be("no", "nobody has its descriptors any more");
    }

    [NestedFact]
    public void Kata_creates_and_boots_with_all_that_it_asks_for()
    {
        LabResult result = Passed("kata");
        result.Note("PING").Should().StartWith("v");
        result.Note("STATE-Created").Should().Be("yes");
        result.Note("STATE-Running").Should().Be("yes");
    }

    [NestedFact]
    public void Kata_plugs_disks_in_and_out_while_the_guest_reads_another_and_nothing_is_left()
    {
        LabResult result = Passed("kata");
        for (int worker = 1; worker <= Workers; worker++)
        {
            result.Note($"ROUNDS-{worker}").Should().Be($"{Rounds}");
        }

        result.Note("LEFT").Should().Be("nothing");
        result.Note("ROOT").Should().Be(runs.Digest, "each reading of the root image gives what is in it");
        int.Parse(result.Note("ROOT-READS")).Should().BeGreaterThan(Rounds);
        double.Parse(result.Note("SLOWEST-REMOVAL")).Should().BeLessThan(20, "a removal is answered when the guest has let go");
    }

    [NestedFact]
    public void Kata_ends_it_and_its_socket_is_gone()
    {
        LabResult result = Passed("kata");
        result.Note("EXIT").Should().Be("0");
        result.Note("FILES-LEFT").Should().BeEmpty();
    }

    [NestedFact]
    public void Each_word_of_ctl_does_what_it_says()
    {
        LabResult result = Passed("ctl");
        result.Note("INFO").Should().Be("0 Running");
        result.Note("INSPECT").Should().Be("0 disk0");
        result.Note("ADDED").Should().Be("0 late");
        result.Fact("SEEN").Should().Be("late-serial");
        result.Note("INSPECT-ONE").Should().Be("0 late");
        result.Note("REMOVED").Should().Be("0");
        result.Note("UNKNOWN").Should().Be("1 vmm: vm.remove-device: 400: the VM has no device late");
        result.Note("SHUTDOWN").Should().Be("0");
    }

    private LabResult Passed(string name)
    {
        LabResult result = runs[name];
        result.Status.Should().Be(0, "{0}{1}{2}", result.Errors, result.Notes, result.Console);
        return result;
    }

    public sealed class Runs
    {
        private const string LibvirtGuest = """
            ip link set eth0 up
            ip addr add 192.168.58.2/24 dev eth0
            echo "MAC $(cat /sys/class/net/eth0/address)"
            echo "SUM $(dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
            echo "PING $(ping -c 3 -i 0.2 -W 5 192.168.58.1 | awk '/packets transmitted/ { print $4 }')"
            i=0
            while :; do
                i=$((i + 1))
                echo "COUNT $i"
                echo "HVC $i" >/dev/hvc0
                sleep 0.1
            done
            """;

        /// <summary>Each bus is watched for a disk with another serial than the last one.</summary>
        private const string KataGuest = """
            (
                while :; do
                    echo "ROOT $(dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
                    sleep 0.1
                done
            ) &
            watch() {
                last=
                while :; do
                    for file in /sys/bus/pci/devices/0000:0$1:00.0/virtio*/block/*/serial; do
                        [ -e $file ] || continue
                        serial=$(cat $file 2>/dev/null)
                        block=${file%/serial}
                        disk=/dev/${block##*/}
                        if [ -n "$serial" ] && [ "$serial" != "$last" ] && [ -b $disk ]; then
                            echo "SEEN $1 $serial $(dd if=$disk bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
                            last=$serial
                        fi
                    done
                    sleep 0.2
                done
            }
            for bus in 1 2 3 4 5 6 7 8; do watch $bus & done
            echo STEP begins
            wait
            """;

        private const string CtlGuest = """
            echo STEP begins
            while :; do for file in /sys/bus/pci/devices/0000:01:00.0/virtio*/block/*/serial; do [ -e "$file" ] && break 2; done; sleep 0.2; done
            echo "SEEN $(cat $file)"
            sleep 1000
            """;

        private const string Ctl = """
            ctl() { $VMM ctl --api-socket api.sock "$@" 2>&1; }
            said() { while kill -0 $pid && ! grep -q $1 console 2>/dev/null; do sleep 0.1; done; }
            said STEP
            out=$(ctl info); echo "INFO $? $(grep -o 'Running' <<<"$out")"
            out=$(ctl inspect); echo "INSPECT $? $(grep -o 'disk0' <<<"$out" | head -n 1)"
            out=$(ctl add-disk path=$SHARE/disk,readonly=on,id=late,serial=late-serial); echo "ADDED $? $(grep -o 'late' <<<"$out" | head -n 1)"
            said SEEN
            out=$(ctl inspect late); echo "INSPECT-ONE $? $(grep -o 'late' <<<"$out" | head -n 1)"
            out=$(ctl remove-device late); echo "REMOVED $? $out"
            out=$(ctl remove-device late); echo "UNKNOWN $? $out"
            out=$(ctl shutdown-vmm); echo "SHUTDOWN $? $out"
            """;

        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results;

        public Runs()
        {
            byte[] disk = RandomNumberGenerator.GetBytes(4 << 20);
            Digest = Convert.ToHexStringLower(SHA256.HashData(disk));
            string program = Path.Combine(AppContext.BaseDirectory, "ApiClient");
            LabCase[] cases =
            [
                .. new[] { ("libvirt", LibvirtGuest), ("kata", KataGuest) }.Select(run => new LabCase(run.Item1)
                {
                    Command = $"{program} client={run.Item1} vmm=$VMM kernel=$KERNEL initramfs=$INITRAMFS cmdline=\"$CMDLINE\" disk=$SHARE/disk",
                    Guest = run.Item2,
                    TimeoutSeconds = 200,
                }),
                new("ctl", "--disk path=$SHARE/disk,readonly=on --api-socket path=api.sock") { Guest = CtlGuest, Beside = Ctl, TimeoutSeconds = 100 },
            ];
            _results = new(() => LabSession.Run(cases, new Dictionary<string, byte[]> { ["disk"] = disk }));
        }

        public string Digest { get; }

        public LabResult this[string name] => _results.Value[name];
    }
}
