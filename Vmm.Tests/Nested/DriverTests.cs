using System;
using System.Collections.Generic;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>Linux takes drivers and functions away and brings them back, again and again, while another disk is being read.</summary>
[Trait("Category", "Nested")]
public sealed class DriverTests(DriverTests.Runs runs) : IClassFixture<DriverTests.Runs>
{
    [NestedTheory]
    [InlineData("rebind")]
    [InlineData("rescan")]
    [InlineData("reset")]
    [InlineData("rebind-intx")]
    [InlineData("rescan-smp")]
    public void Twenty_rounds_leave_a_machine_that_works_and_complains_of_nothing(string name)
    {
        LabResult result = runs[name];
        result.ShouldHavePassed();
        result.Fact("ROUNDS").Should().Be("20");
        result.Fact("SUM-vdb").Should().Be(runs.Digest, "the disk that went away works again");
        result.Fact("BESIDE").Should().Be(runs.Digest, "the disk that was read beside was read right");
        result.Fact("PING").Should().Be("3");
        result.Fact("COMPLAINTS").Should().Be("0", "{0}", result.Console);
    }

    public sealed class Runs
    {
        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results;

        public Runs()
        {
            byte[] disk = RandomNumberGenerator.GetBytes(16 << 20);
            Digest = Convert.ToHexStringLower(SHA256.HashData(disk));
            LabCase[] cases =
            [
                Case("rebind", Rebind, ""),
                Case("rescan", Rescan, ""),
                Case("reset", Reset, ""),
                Case("rebind-intx", Rebind, "pci=nomsi"),
                Case("rescan-smp", Rescan, "") with { Processors = 2 },
            ];
            _results = new(() => LabSession.Run(cases, new Dictionary<string, byte[]> { ["disk"] = disk }));
        }

        public string Digest { get; }

        public LabResult this[string name] => _results.Value[name];

        private const string Rebind = """
            echo ${VIRTIO##*/} >$DRIVER/unbind && [ ! -e /sys/block/vdb ] || exit 1
            echo ${VIRTIO##*/} >$DRIVER/bind || exit 1
            echo $FUNCTION >/sys/bus/pci/drivers/virtio-pci/unbind || exit 1
            echo $FUNCTION >/sys/bus/pci/drivers/virtio-pci/bind || exit 1
            VIRTIO=$(echo /sys/bus/pci/devices/$FUNCTION/virtio*)
            """;

        private const string Rescan = """
            echo 1 >/sys/bus/pci/devices/$FUNCTION/remove || exit 1
            [ ! -e /sys/block/vdb ] || exit 1
            echo 1 >/sys/bus/pci/rescan || exit 1
            """;

        private const string Reset = """
            [ "$(cat /sys/bus/pci/devices/$FUNCTION/reset_method)" = flr ] || { echo "NORESET"; exit 1; }
            echo $FUNCTION >/sys/bus/pci/drivers/virtio-pci/unbind || exit 1
            echo 1 >/sys/bus/pci/devices/$FUNCTION/reset || exit 1
            echo $FUNCTION >/sys/bus/pci/drivers/virtio-pci/bind || exit 1
            """;

        private static LabCase Case(string name, string round, string commandLine)
        {
            return new(
                name, "--disk path=$SHARE/disk,readonly=on --disk path=$SHARE/disk,readonly=on --net tap=vmmdrv0,ip=192.168.51.1,mask=255.255.255.0")
            {
                CommandLine = commandLine,
                TimeoutSeconds = 900,
                Guest = $$"""
                    FUNCTION=$(basename $(dirname $(readlink -f /sys/block/vdb/device)))
                    VIRTIO=$(readlink -f /sys/block/vdb/device)
                    DRIVER=/sys/bus/virtio/drivers/virtio_blk
                    # Reads the other disk over and over until told to stop; the last digest counts.
                    ( while [ ! -e /tmp/stop ]; do
                        dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1 >/tmp/sum.new; mv /tmp/sum.new /tmp/sum
                    done ) &
                    reader=$!
                    rounds=0
                    while [ $rounds -lt 20 ]; do
                    {{round}}
                        rounds=$((rounds + 1))
                    done
                    echo "ROUNDS $rounds"
                    touch /tmp/stop; wait $reader
                    echo "BESIDE $(cat /tmp/sum)"
                    for try in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vdb ] && break; sleep 0.2; done
                    echo "SUM-vdb $(dd if=/dev/vdb bs=1M iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
                    ip link set eth0 up; ip addr add 192.168.51.2/24 dev eth0
                    echo "PING $(ping -c 3 -i 0.2 -W 5 192.168.51.1 | awk '/packets transmitted/ { print $4 }')"
                    dmesg -r | grep -E '^<[0-3]>'
                    echo "COMPLAINTS $(dmesg -r | grep -cE '^<[0-3]>')"
                    """,
            };
        }
    }
}
