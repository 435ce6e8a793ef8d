using System;
using System.Collections.Generic;
using System.Linq;

namespace Vmm.Tests.Nested;

/// <summary>Disks of the host that fail, in places, as a whole, or for want of room: the guest gets errors for that, and for nothing else.</summary>
[Trait("Category", "Nested")]
[Trait("Behaviour", "IO-2")]
public sealed class FailingDiskTests(FailingDiskTests.Runs runs) : IClassFixture<FailingDiskTests.Runs>
{
    private const int Requests = 32;

    /// <summary>Requests of 4 KiB that the full file system has no room for.</summary>
    private const int MoreThanRoom = 1024;

    [MappedDiskTheory]
    [InlineData("cached", "READS")]
    [InlineData("cached", "WRITES")]
    [InlineData("direct", "READS")]
    [InlineData("direct", "WRITES")]
    public void What_lies_on_bad_blocks_fails_and_the_rest_of_the_disk_works(string run, string requests)
    {
        ParallelRequests bad = Requested(run, $"BAD-{requests}");

        bad.Error.Should().Be(ParallelRequests.InputOutputError);
        // What the host's page cache has taken fails at the flush.
        bad.Failed.Should().Be(run == "cached" && requests == "WRITES" ? 0 : Requests);
        ShouldHaveWorked(Requested(run, $"GOOD-{requests}"));
    }

    [MappedDiskTheory]
    [InlineData("cached")]
    [InlineData("direct")]
    public void A_disk_that_dies_answers_with_errors_and_works_when_it_is_mended(string run)
    {
        ParallelRequests dead = Requested(run, "DEAD");

        dead.Failed.Should().Be(Requests);
        dead.Error.Should().Be(ParallelRequests.InputOutputError);
        ShouldHaveWorked(Requested(run, "MENDED"));
    }

    [MappedDiskTheory]
    [InlineData("cached")]
    [InlineData("direct")]
    public void Writes_fail_where_the_file_system_has_no_room_and_work_when_there_is_some(string run)
    {
        ParallelRequests full = Requested(run, "FULL");

        full.Error.Should().Be(ParallelRequests.InputOutputError, "a block device has no other");
        full.Done.Should().BeInRange(1, MoreThanRoom - 1);
        full.Failed.Should().Be(MoreThanRoom - full.Done);
        Requested(run, "ROOM").Should().BeEquivalentTo(new { Done = MoreThanRoom, Failed = 0, Error = 0 });
    }

    [MappedDiskTheory]
    [InlineData("cached")]
    [InlineData("direct")]
    public void Another_disk_and_the_console_go_on_meanwhile(string run)
    {
        runs[run].ShouldHavePassed();
        runs[run].Fact("ALIVE").Should().Be("begin bad dead full end");
        runs[run].Fact("OTHER").Should().Be("intact");
    }

    private ParallelRequests Requested(string run, string key)
    {
        runs[run].ShouldHavePassed();
        return ParallelRequests.Parse(runs[run].Fact(key));
    }

    private static void ShouldHaveWorked(ParallelRequests requests)
    {
        requests.Should().BeEquivalentTo(new { Done = Requests, Failed = 0, Error = 0 });
    }

    public sealed class Runs
    {
        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results =
            new(() => LabSession.Run([Case("cached", ""), Case("direct", ",direct=on")]));

        public LabResult this[string name] => _results.Value[name];

        /// <summary>One with bad blocks from 32 to 48 MiB, one that dies and is mended, one in a full file system, and one that is well.</summary>
        private static readonly string[] Disks = ["/dev/mapper/bad", "/dev/mapper/mortal", "full/disk", "/dev/ram2"];

        private const string Before = DeviceMapper.Functions + """
            table bad "0 65536 linear /dev/ram0 0
            65536 32768 error
            98304 65536 linear /dev/ram0 98304"
            table mortal "0 163840 linear /dev/ram1 0"
            modprobe -d "$LAB_KERNEL" ext4
            mkfs.ext4 -q -m 0 -O ^has_journal /dev/ram3 16m
            mkdir full; mount /dev/ram3 full
            fallocate -l 12m full/ballast
            truncate -s 64m full/disk
            """;

        private const string Beside = """
            said() { until grep -q "^$1" console 2>/dev/null || ! kill -0 $pid 2>/dev/null; do sleep 0.1; done; }
            said BREAK; table mortal "0 163840 error"
            said MEND; table mortal "0 163840 linear /dev/ram1 0"
            said MAKE-ROOM; rm full/ballast
            """;

        private static string Guest { get; } = $$"""
            ask() { {{ParallelRequests.Command}} "$@"; }
            # The disk that is well is written and read back all the time.
            (
                round=1
                while [ ! -e /tmp/stop ]; do
                    at=$((round % 64))
                    echo "round $round" | dd of=/dev/vdd bs=4k seek=$at conv=sync oflag=direct 2>/dev/null || exit
                    [ "$(dd if=/dev/vdd bs=4k skip=$at count=1 iflag=direct 2>/dev/null | head -n 1)" = "round $round" ] || exit
                    echo $round >>/tmp/rounds
                    round=$((round + 1))
                done
                echo "OTHER intact"
            ) &
            touch /tmp/rounds
            # alive PART: the other disk ends two more rounds, of which one began from now on.
            alive() {
                until=$(($(wc -l </tmp/rounds) + 2))
                for i in $(seq 300); do
                    if [ $(wc -l </tmp/rounds) -ge $until ]; then alive="$alive $1"; return; fi
                    sleep 0.05
                done
            }
            # changes DEVICE read|write RESULT: asks for one place after the other until one of them answers with RESULT failures.
            at=8192
            changes() {
                for i in $(seq 400); do
                    at=$((at + 4))
                    set -- "$1" "$2" "$3" $(ask $2 $1 1 $at 0)
                    [ "$6" != "$3" ] || return
                    sleep 0.05
                done
            }
            alive begin
            echo "BAD-READS $(ask read /dev/vda {{Requests}} 32768 512)"
            echo "GOOD-READS $(ask read /dev/vda {{Requests}} 0 512)"
            echo "BAD-WRITES $(ask write /dev/vda {{Requests}} 33024 512)"
            echo "GOOD-WRITES $(ask write /dev/vda {{Requests}} 49408 512)"
            alive bad
            echo BREAK
            changes /dev/vdb read 1
            echo "DEAD $(ask read /dev/vdb {{Requests}} 32768 512)"
            alive dead
            echo MEND
            changes /dev/vdb read 0
            echo "MENDED $(ask read /dev/vdb {{Requests}} 49152 512)"
            echo "FULL $(ask write /dev/vdc {{MoreThanRoom}} 32768 4)"
            alive full
            echo MAKE-ROOM
            changes /dev/vdc write 0
            echo "ROOM $(ask write /dev/vdc {{MoreThanRoom}} 32768 4)"
            alive end
            echo "ALIVE$alive"
            touch /tmp/stop
            wait
            """;

        private static LabCase Case(string name, string words) => new(name, string.Join(' ', Disks.Select(disk => $"--disk path={disk}{words}")))
        {
            Before = Before,
            Guest = Guest,
            Beside = DeviceMapper.Functions + Beside,
            After = "umount full" + DeviceMapper.End,
            Files = ParallelRequests.Files,
            TimeoutSeconds = 180,
        };
    }
}
