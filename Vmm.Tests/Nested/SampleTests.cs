using System;
using System.Collections.Generic;
using System.IO;

namespace Vmm.Tests.Nested;

/// <summary>A guest drives the samples, which are functions of an embedder's own: edu by its registers, the balloon by Linux's driver.</summary>
[Trait("Category", "Nested")]
[Trait("Behaviour", "CON-7")]
public sealed class SampleTests(SampleTests.Runs runs) : IClassFixture<SampleTests.Runs>
{
    private const long InBalloon = 64 << 20;

    [NestedFact]
    public void Both_come_and_go_and_leave_nothing()
    {
        LabResult result = runs["samples"];
        result.Status.Should().Be(0, "{0}{1}{2}", result.Errors, result.Notes, result.Console);
        result.ShouldHavePassed();
        result.Note("ENDED").Should().Be("PowerOff");
        result.Note("LEFT-samples").Should().Be("nothing");
        result.Fact("UNEXPECTED").Should().Be("0", "{0}", result.Console);
    }

    [NestedFact]
    public void The_guest_computes_and_copies_with_the_edu_and_gets_its_interrupts()
    {
        LabResult result = runs["samples"];
        result.Fact("EDU-ID").Should().Be("0x010000ED");
        result.Fact("EDU-LIVENESS").Should().Be("0xEDCBA987");
        result.Fact("EDU-FACTORIAL").Should().Be("0x00375F00", "that is 10!");
        result.Fact("EDU-COPIED").Should().Be("0xCAFEF00D");
        result.Fact("EDU-INTERRUPTS").Should().Be("1");
    }

    [NestedFact]
    public void Linux_inflates_and_deflates_the_balloon_and_tells_its_memory()
    {
        LabResult result = runs["samples"];
        long.Parse(result.Note("BALLOON-TOTAL")).Should().BeInRange(350 << 20, 512 << 20);
        result.Note("BALLOON-TAKEN").Should().Be($"{InBalloon}");
        result.Note("BALLOON-DISCARDED").Should().Be($"{InBalloon}");
        result.Note("BALLOON-BACK").Should().Be($"{InBalloon}");
    }

    public sealed class Runs
    {
        // The page is for DMA: it is no RAM to the kernel, so that /dev/mem lets it be looked at.
        private const string Guest = """
            echo STEP-samples
            edu=/sys/bus/pci/devices/0000:01:00.0
            while [ ! -e $edu/resource ]; do sleep 0.1; done
            echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id
            while [ ! -e /dev/uio0 ]; do sleep 0.1; done
            printf '\006' | dd of=$edu/config bs=1 seek=4 conv=notrunc 2>/dev/null
            base=$(awk 'NR == 1 { print $1 }' $edu/resource)
            register() { at=$1; shift; devmem $(($base + $at)) "$@"; }
            idle() { while [ $(($(register $1 32) & 1)) = 1 ]; do :; done; }
            echo "EDU-ID $(register 0x00 32)"
            register 0x04 32 0x12345678
            echo "EDU-LIVENESS $(register 0x04 32)"
            register 0x08 32 10; idle 0x20
            echo "EDU-FACTORIAL $(register 0x08 32)"
            devmem 0x10000000 32 0xcafef00d
            register 0x80 64 0x10000000; register 0x88 64 0x40010; register 0x90 64 4; register 0x98 64 1; idle 0x98
            register 0x80 64 0x40010; register 0x88 64 0x10000100; register 0x90 64 4; register 0x98 64 3; idle 0x98
            echo "EDU-COPIED $(devmem 0x10000100 32)"
            (dd if=/dev/uio0 bs=4 count=1 2>/dev/null | od -An -tu4 | tr -d ' ' >/tmp/interrupts) &
            while ! ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q /dev/uio0; do sleep 0.1; done
            register 0x20 32 0x80; register 0x08 32 5
            wait
            echo "EDU-INTERRUPTS $(cat /tmp/interrupts)"
            register 0x64 32 1
            echo EDU-DONE
            while [ ! -e /sys/bus/pci/devices/0000:02:00.0 ]; do sleep 0.1; done
            while [ -e /sys/bus/pci/devices/0000:02:00.0 ] || [ -e $edu ]; do sleep 0.3; done
            echo SAMPLES-GONE
            dmesg -r | grep -E '^<[0-3]>'
            echo "UNEXPECTED $(dmesg -r | grep -cE '^<[0-3]>')"
            """;

        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results = new(() => LabSession.Run([Samples]));

        public LabResult this[string name] => _results.Value[name];

        private static LabCase Samples => new("samples")
        {
            Command = Path.Combine(AppContext.BaseDirectory, "HotPlugHost")
                + " kernel=$KERNEL initramfs=$INITRAMFS console=console cmdline=\"$CMDLINE\" cpus=1 ports=2 steps=samples",
            CommandLine = "memmap=1M$0x10000000",
            Flavour = "amd64",
            Modules = "uio_pci_generic virtio_balloon",
            Guest = Guest,
            TimeoutSeconds = 400,
        };
    }
}
