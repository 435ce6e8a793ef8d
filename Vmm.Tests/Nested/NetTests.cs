using System;
using System.Collections.Generic;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>A real tap behind virtio-net: ping and TCP in both directions, with offloads on and off: 64 MiB, 256 with VMM_SOAK=1.</summary>
[Trait("Category", "Nested")]
public sealed class NetTests(NetTests.Runs runs) : IClassFixture<NetTests.Runs>
{
    [NestedTheory]
    [InlineData("offloads")]
    [InlineData("plain")]
    public void The_guest_pings_the_host(string name)
    {
        runs[name].ShouldHavePassed();
        runs[name].Fact("PING").Should().Be("5");
    }

    [NestedTheory]
    [InlineData("offloads")]
    [InlineData("plain")]
    public void Transfers_arrive_whole_in_both_directions(string name)
    {
        runs[name].Fact("DOWN").Should().Be(runs.Digest);
        runs[name].Fact("UP").Should().Be(runs.Digest);
    }

    [NestedFact]
    public void Offloads_are_negotiated_and_can_be_switched_off()
    {
        // Receive checksumming stays on: Linux's virtio_net has it fixed.
        runs["offloads"].Fact("OFFLOADS").Should().Be("on on on on");
        runs["plain"].Fact("OFFLOADS").Should().Be("off off off off");
    }

    [NestedFact]
    public void The_mac_address_is_the_one_that_was_asked_for()
    {
        runs["offloads"].Fact("MAC").Should().Be("52:54:00:aa:bb:cc");
    }

    public sealed class Runs
    {
        private const string Serve = """
            ip link set lo up
            mkdir -p web/cgi-bin
            ln -s $SHARE/disk web/disk
            printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\nbusybox wget -q -O - http://192.168.50.2:8081/cgi-bin/disk | sha256sum\n' >web/cgi-bin/fetch
            chmod 755 web/cgi-bin/fetch
            busybox httpd -p 8080 -h web
            """;

        private const string Transfer = """
            printf 'OFFLOADS'
            for f in tx-checksumming tcp-segmentation-offload generic-receive-offload rx-gro-hw; do
                printf ' %s' "$(ethtool -k eth0 | awk -F': ' -v f=$f '$1 == f { split($2, v, " "); print v[1] }')"
            done
            echo
            ip link set eth0 up
            ip addr add 192.168.50.2/24 dev eth0
            echo "MAC $(cat /sys/class/net/eth0/address)"
            echo "PING $(ping -c 5 -i 0.2 -W 5 192.168.50.1 | awk '/packets transmitted/ { print $4 }')"
            echo "DOWN $(wget -q -O - http://192.168.50.1:8080/disk | sha256sum | cut -d' ' -f1)"
            mkdir -p /tmp/web/cgi-bin
            printf '#!/bin/sh\nprintf "Content-Type: application/octet-stream\\r\\n\\r\\n"\ncat /dev/vda\n' >/tmp/web/cgi-bin/disk
            chmod 755 /tmp/web/cgi-bin/disk
            httpd -p 8081 -h /tmp/web
            echo "UP $(wget -q -O - http://192.168.50.1:8080/cgi-bin/fetch | cut -d' ' -f1)"
            ethtool -S eth0 2>/dev/null | head -20
            dmesg -r | grep -E '^<[0-3]>'
            true
            """;

        private const string Arguments =
            "--disk path=$SHARE/disk,readonly=on --net tap=vmmnet0,ip=192.168.50.1,mask=255.255.255.0,mac=52:54:00:aa:bb:cc";

        private readonly Lazy<IReadOnlyDictionary<string, LabResult>> _results;

        public Runs()
        {
            byte[] disk = RandomNumberGenerator.GetBytes(Soak.On ? 256 << 20 : 64 << 20);
            Digest = Convert.ToHexStringLower(SHA256.HashData(disk));
            LabCase[] cases =
            [
                new("offloads", Arguments) { Before = Serve, Guest = Transfer, After = Stop, TimeoutSeconds = 900 },
                new("plain", Arguments)
                {
                    Before = Serve,
                    Guest = "ethtool -K eth0 tx off tso off gso off gro off rx-gro-hw off\n" + Transfer,
                    After = Stop,
                    TimeoutSeconds = 900,
                },
            ];
            _results = new(() => LabSession.Run(cases, new Dictionary<string, byte[]> { ["disk"] = disk }));
        }

        public string Digest { get; }

        public LabResult this[string name] => _results.Value[name];

        private const string Stop = "pkill -f 'httpd -p 8080' || kill $(busybox pidof busybox)";
    }
}
