using System;
using System.Collections.Generic;
using System.Globalization;

namespace Vmm.Tests.Nested;

/// <summary>How runs end: power-off, reboot, panic, triple fault, signals.</summary>
[Trait("Category", "Nested")]
public sealed class LifeCycleTests(LifeCycleTests.Runs runs) : IClassFixture<LifeCycleTests.Runs>
{
    [NestedFact]
    public void Power_off_exits_0()
    {
        runs["poweroff"].ShouldHavePassed();
    }

    [NestedFact]
    public void A_reboot_restarts_the_machine()
    {
        LabResult result = runs["reboot"];
        result.Status.Should().Be(0, "{0}{1}", result.Console, result.Errors);
        result.Console.Split("GUEST-READY").Should().HaveCount(3, "the guest came up twice");
        result.Fact("SECOND").Should().Be("boot");
    }

    [NestedTheory]
    [InlineData("reboot-once")]
    [InlineData("panic-once")]
    public void A_reset_exits_0_with_no_reboot(string name)
    {
        LabResult result = runs[name];
        result.Status.Should().Be(0, "{0}{1}", result.Console, result.Errors);
        result.Console.Split("GUEST-READY").Should().HaveCount(2, "the guest came up once");
    }

    [NestedFact]
    public void A_panic_restarts_the_machine()
    {
        LabResult result = runs["panic"];
        result.Status.Should().Be(0, "{0}{1}", result.Console, result.Errors);
        result.Console.Should().Contain("Kernel panic");
        result.Fact("SECOND").Should().Be("boot");
    }

    [NestedFact]
    public void A_triple_fault_exits_3_with_one_line()
    {
        LabResult result = runs["triple-fault"];
        result.Status.Should().Be(3, "{0}{1}", result.Console, result.Errors);
        result.Errors.TrimEnd().Split('\n').Should().ContainSingle().Which.Should().Contain("triple fault");
    }

    [NestedFact]
    public void SIGTERM_while_the_guest_writes_exits_0_soon_with_the_file_intact()
    {
        LabResult result = runs["sigterm"];
        result.Status.Should().Be(0, "{0}{1}", result.Console, result.Errors);
        double.Parse(result.Note("SECONDS"), CultureInfo.InvariantCulture).Should().BeLessThan(
            10, "2 s on a machine of its own; an emulated one that others use as well takes longer");
        result.Note("SIZE").Should().Be($"{64 << 20}");
        result.Note("BAD").Should().Be("0", "every block is the old pattern or the new one");
        int.Parse(result.Note("NEW")).Should().BeGreaterThan(0, "the guest had written some of it");
    }

    [NestedFact]
    public void SIGTERM_presses_the_power_button_and_a_guest_that_listens_powers_off()
    {
        LabResult result = runs["power-button"];
        result.Status.Should().Be(0, "{0}{1}", result.Console, result.Errors);
        result.Fact("LISTENING").Should().Be("Power Button");
        result.Fact("EVENT").Should().Be("1 116 1", "EV_KEY, KEY_POWER, pressed");
        result.Fact("SCI").Should().Be("1", "one press is one interrupt");
        result.Console.Should().NotContain("GUEST-EXIT", "the guest has ended by itself");
        result.Errors.Should().BeEmpty();
    }

    [NestedFact]
    public void After_kill_9_the_next_run_works()
    {
        runs["killed"].Status.Should().Be(137);
        runs["after-kill"].ShouldHavePassed();
        runs["after-kill"].Fact("PING").Should().Be("3");
    }

    [NestedFact]
    public void Nothing_is_left_behind()
    {
        runs["leftovers"].Note("TAPS").Should().Be("0");
        runs["leftovers"].Note("PROCESSES").Should().Be("1", "only the run itself is there");
    }

    public sealed class Runs
    {
        private const string Twice = """
            if [ "$(dd if=/dev/vda bs=4 count=1 2>/dev/null)" = done ]; then echo "SECOND boot"; exit 0; fi
            printf done | dd of=/dev/vda bs=512 conv=sync,fsync,notrunc 2>/dev/null
            """;

        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results = new(() => LabSession.Run(Cases));

        public LabResult this[string name] => _results.Value[name];

        private static LabCase[] Cases { get; } =
        [
            new("poweroff") { Guest = "echo hello" },
            new("reboot", "--disk path=data")
            {
                Before = "truncate -s 1M data",
                NoReboot = false,
                Guest = Twice + "\nreboot -f",
            },
            new("reboot-once") { Guest = "reboot -f; sleep 60" },
            new("panic", "--disk path=data")
            {
                Before = "truncate -s 1M data",
                NoReboot = false,
                Guest = Twice + "\necho c >/proc/sysrq-trigger",
            },
            new("panic-once") { Guest = "echo c >/proc/sysrq-trigger; sleep 60" },
            new("triple-fault") { CommandLine = "reboot=triple", Guest = "reboot -f; sleep 60" },
            new("power-button", "--on-term power-button")
            {
                Modules = "button evdev",
                Guest = """
                    before=$(awk '/ acpi$/ { print $2 }' /proc/interrupts)
                    exec 3</dev/input/event0
                    echo "LISTENING $(cat /sys/class/input/event0/device/name)"
                    dd bs=24 count=1 <&3 >/tmp/event 2>/dev/null
                    hexdump -s 16 -e '1/2 "EVENT %u" 1/2 " %u" 1/4 " %u\n"' /tmp/event
                    echo "SCI $(($(awk '/ acpi$/ { print $2 }' /proc/interrupts) - before))"
                    stty -F /dev/console echo
                    poweroff -f
                    sleep 60
                    """,
                Beside = """
                    until grep -q LISTENING console 2>/dev/null || ! kill -0 $pid; do sleep 0.2; done
                    kill -TERM $pid
                    """,
                TimeoutSeconds = 120,
            },
            new("sigterm", "--disk path=data")
            {
                Before = "head -c 64M /dev/zero | tr '\\0' o >data",
                Guest = """
                    dd if=/dev/zero bs=1M count=1 2>/dev/null | tr '\0' n >/tmp/block
                    echo WRITING
                    while :; do
                        for i in $(seq 0 63); do dd if=/tmp/block of=/dev/vda bs=1M seek=$i oflag=direct conv=notrunc 2>/dev/null; done
                    done
                    """,
                Beside = """
                    until grep -q WRITING console 2>/dev/null || ! kill -0 $pid; do sleep 0.2; done
                    sleep 3
                    begin=$(date +%s%N)
                    kill -TERM $pid
                    while kill -0 $pid 2>/dev/null; do sleep 0.02; done
                    echo "SECONDS $(awk "BEGIN { print ($(date +%s%N) - $begin) / 1e9 }")"
                    """,
                After = """
                    echo "SIZE $(stat -c %s data)"
                    echo "BAD $(tr -d 'on' <data | wc -c)"
                    echo "NEW $(tr -dc 'n' <data | wc -c)"
                    """,
            },
            new("killed", "--disk path=$SHARE/data --net tap=vmmlife0,ip=192.168.52.1,mask=255.255.255.0")
            {
                Before = "truncate -s 16M $SHARE/data",
                Guest = "echo UP; while :; do dd if=/dev/zero of=/dev/vda bs=1M conv=fsync 2>/dev/null; done",
                Beside = """
                    until grep -q '^UP' console 2>/dev/null || ! kill -0 $pid; do sleep 0.2; done
                    sleep 1
                    kill -KILL $pid
                    """,
            },
            new("after-kill", "--disk path=$SHARE/data --net tap=vmmlife0,ip=192.168.52.1,mask=255.255.255.0")
            {
                Guest = """
                    ip link set eth0 up; ip addr add 192.168.52.2/24 dev eth0
                    echo "PING $(ping -c 3 -i 0.2 -W 5 192.168.52.1 | awk '/packets transmitted/ { print $4 }')"
                    dd if=/dev/zero of=/dev/vda bs=1M count=1 conv=fsync 2>/dev/null
                    """,
            },
            new("leftovers")
            {
                Beside = """
                    echo "TAPS $(ls /sys/class/net | grep -c vmmlife)"
                    echo "PROCESSES $(ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c "$VMM\$")"
                    """,
            },
        ];
    }
}
