using System;
using System.Collections.Generic;

namespace Vmm.Tests.Nested;

/// <summary>Linux's balloon driver drives ours: it gives what it is asked for, takes it back, and the host has the memory meanwhile.</summary>
[Trait("Category", "Nested")]
public sealed class BalloonTests(BalloonTests.Runs runs) : IClassFixture<BalloonTests.Runs>
{
    [NestedFact]
    public void The_driver_binds_and_follows_the_size_and_the_host_has_what_it_gave()
    {
        LabResult result = runs["size"];
        result.ShouldHavePassed();
        result.Fact("BOUND").Should().Be("1");
        result.Fact("GIVEN").Should().Be("256", "the guest has so many MiB less with the balloon than without it");
        int.Parse(result.Note("HAD")).Should().BeGreaterThan(256, "the guest had used its memory");
        int.Parse(result.Note("BACK")).Should().BeGreaterThan(64, "of 256 MiB in the balloon some were in use before");
        result.Fact("COMPLAINTS").Should().Be("0", "{0}", result.Console);
    }

    [NestedFact]
    public void What_the_guest_reports_as_unused_goes_back_to_the_host()
    {
        LabResult result = runs["reports"];
        result.ShouldHavePassed();
        result.Fact("REPORTING").Should().Be("1", "the driver took the feature");
        int.Parse(result.Note("HAD")).Should().BeGreaterThan(256, "the guest had used its memory");
        int.Parse(result.Note("BACK")).Should().BeGreaterThan(128, "320 MiB were used and are free again");
        result.Fact("COMPLAINTS").Should().Be("0", "{0}", result.Console);
    }

    public sealed class Runs
    {
        /// <summary>MiB that vmm had at most before the guest said GIVEN-BACK, and how many fewer it had just before the guest ended.</summary>
        private const string Watch = """
            most=0 last=0
            while kill -0 $pid 2>/dev/null; do
                now=$(awk '$1 == "VmRSS:" { print int($2 / 1024) }' /proc/$pid/status 2>/dev/null)
                if ! grep -sq GIVEN-BACK console; then (( now > most )) && most=$now
                elif ! grep -q GUEST-EXIT console; then last=$now; fi
                sleep 0.2
            done
            echo "HAD $most"
            echo "BACK $((most - last))"
            """;

        /// <summary>Writes 320 MiB and forgets them.</summary>
        private const string UseMemory = """
            mount -o remount,size=90% /tmp
            dd if=/dev/zero of=/tmp/used bs=1M count=320 2>/dev/null || exit 1
            rm /tmp/used
            """;

        private const string End = """
            echo GIVEN-BACK
            sleep 2
            dmesg -r | grep -E '^<[0-3]>'
            echo "COMPLAINTS $(dmesg -r | grep -cE '^<[0-3]>')"
            """;

        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results = new(() => LabSession.Run(Cases));

        public LabResult this[string name] => _results.Value[name];

        private static LabCase[] Cases { get; } =
        [
            new("size", "--balloon size=256M")
            {
                Modules = "virtio_balloon",
                Beside = Watch,
                Guest = $$"""
                    # moved WAY PAGES: waits until so many pages went into the balloon (inflate) or out of it (deflate).
                    moved() {
                        for try in $(seq 300); do
                            [ "$(awk -v name=balloon_$1 '$1 == name { print $2 }' /proc/vmstat)" -ge $2 ] && return
                            sleep 0.2
                        done
                        echo "balloon_$1 stays below $2"; exit 1
                    }
                    total() { awk '/MemTotal/ { print $2 }' /proc/meminfo; }
                    echo "BOUND $(ls -d /sys/bus/virtio/drivers/virtio_balloon/virtio* | wc -l)"
                    moved inflate 65536
                    less=$(total)
                    rmmod virtio_balloon || exit 1
                    moved deflate 65536
                    echo "GIVEN $((($(total) - less) / 1024))"
                    {{UseMemory}}
                    insmod /lib/modules/virtio_balloon.ko || exit 1
                    moved inflate 131072
                    {{End}}
                    """,
            },
            new("reports", "--balloon size=0,free_page_reporting=on")
            {
                Modules = "virtio_balloon",
                Beside = Watch,
                Guest = $"""
                    echo "REPORTING $(cut -c6 /sys/bus/virtio/drivers/virtio_balloon/virtio*/features)"
                    {UseMemory}
                    # Linux reports two seconds after pages became free.
                    sleep 5
                    {End}
                    """,
            },
        ];
    }
}
