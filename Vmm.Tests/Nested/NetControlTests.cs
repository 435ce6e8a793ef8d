using System;
using System.Collections.Generic;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>
/// A card of four pairs whose driver changes its mind all the time: pairs in use (the control queue), sizes of rings (queue reset), link down and
/// up. It answers after every round, and at the end 16 MiB (64 with VMM_SOAK=1) go each way; then its tap is taken away.
/// </summary>
[Trait("Category", "Nested")]
public sealed class NetControlTests(NetControlTests.Runs runs) : IClassFixture<NetControlTests.Runs>
{
    private const int RingReset = 40;
    private const int Packed = 34;

    private static int Rounds => Soak.On ? 100 : 15;

    [NestedTheory]
    [InlineData("split")]
    [InlineData("packed")]
    [Trait("Behaviour", "VTP-9")]
    public void Changes_of_pairs_sizes_and_link_leave_a_card_that_works(string name)
    {
        LabResult result = runs[name];
        result.ShouldHavePassed();
        string bits = result.Fact("BITS");
        bits[RingReset].Should().Be('1', "sizes are changed by queue reset");
        bits[Packed].Should().Be(name == "packed" ? '1' : '0');
        result.Fact("REFUSED").Should().Be("0", "{0}", result.Console);
        result.Fact("ROUNDS").Should().Be($"{Rounds}");
        result.Fact("ANSWERED").Should().Be($"{Rounds}", "{0}", result.Console);
        result.Fact("SAME").Should().Be("4");
        result.Fact("COMPLAINTS").Should().Be("0", "{0}", result.Console);
        result.Errors.Should().BeEmpty();
    }

    [NestedTheory]
    [InlineData("split")]
    [InlineData("packed")]
    public void A_tap_that_is_taken_away_is_a_lost_carrier(string name)
    {
        runs[name].Fact("CARRIER-BEFORE").Should().Be("1");
        runs[name].Fact("CARRIER-AFTER").Should().Be("0");
    }

    /// <summary>Both guests in one boot of the lab.</summary>
    public sealed class Runs
    {
        private static readonly string Guest = $$"""
            echo "BITS $(cat $(readlink -f /sys/class/net/eth0/device)/features)"
            ip addr add 192.168.70.2/24 dev eth0
            ip link set eth0 up
            refused=0; answered=0; round=0
            # try COMMAND...: counts what the kernel refuses.
            try() { "$@" || { refused=$((refused + 1)); echo "refused: $*"; }; }
            while [ $round -lt {{Rounds}} ]; do
                try ethtool -L eth0 combined $((1 + (round + 3) % 4))
                size=$((64 << (round % 3)))
                try ethtool -G eth0 rx $size tx $((256 / (size / 64)))
                try ip link set eth0 down
                try ip link set eth0 up
                ping -q -c 1 -W 5 192.168.70.1 >/dev/null && answered=$((answered + 1))
                round=$((round + 1))
            done
            echo "ROUNDS $round"
            echo "ANSWERED $answered"
            echo "REFUSED $refused"
            echo "SAME $({{RoundTrip.Command}} 192.168.70.1 {{RoundTrip.Port}})"
            echo "CARRIER-BEFORE $(cat /sys/class/net/eth0/carrier)"
            echo TAKE-IT-AWAY
            left=100
            while [ $left -gt 0 ] && [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do left=$((left - 1)); usleep 100000; done
            echo "CARRIER-AFTER $(cat /sys/class/net/eth0/carrier)"
            dmesg -r | grep -E '^<[0-3]>'
            echo "COMPLAINTS $(dmesg -r | grep -cE '^<[0-3]>')"
            """;

        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results = new(() => LabSession.Run(
            [CaseOf("split", ""), CaseOf("packed", ",packed=on")],
            new Dictionary<string, byte[]> { ["data"] = RandomNumberGenerator.GetBytes(Soak.On ? 64 << 20 : 16 << 20) }));

        public LabResult this[string name] => _results.Value[name];

        private static LabCase CaseOf(string name, string words) => new(
            name, $"--net tap=vmmctl0,ip=192.168.70.1,mask=255.255.255.0,num_queues=8{words}")
        {
            // Four processors for four pairs; one of them runs (docs/lab.md).
            Processors = 4,
            CommandLine = "maxcpus=1",
            Before = RoundTrip.Prepare,
            Guest = Guest,
            Files = RoundTrip.Files,
            Beside = "until grep -q TAKE-IT-AWAY console 2>/dev/null || ! kill -0 $pid 2>/dev/null; do sleep 0.2; done; ip link del vmmctl0",
            After = RoundTrip.End,
            TimeoutSeconds = 900,
        };
    }
}
