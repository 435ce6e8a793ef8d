using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;

namespace Vmm.Tests.Nested;

/// <summary>
/// Newer Linux kernels as guests, a few machines each: what <see cref="BootTests"/>, <see cref="DiskTests"/>, <see cref="NetTests"/> and
/// <see cref="DriverTests"/> try with 6.1 at length.
/// </summary>
[Trait("Category", "Nested")]
public sealed class KernelTests(KernelTests.Runs runs) : IClassFixture<KernelTests.Runs>
{
    /// <summary>Kernels by their words for build/lab/kernels: of each version one flavour, so that both are tried.</summary>
    private static readonly string[] Kernels = ["cloud-6.12", "amd64-7.3"];

    public static TheoryData<string, string> All
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string kernel in Kernels)
            {
                data.Add(kernel, "msix");
                data.Add(kernel, "nomsi");
            }

            return data;
        }
    }

    public static TheoryData<string> Each => [.. Kernels];

    [NestedTheory]
    [MemberData(nameof(All))]
    public void The_kernel_is_the_one_meant_and_complains_of_nothing(string kernel, string run)
    {
        LabResult result = runs[kernel, run];

        result.ShouldHavePassed();
        result.Fact("KERNEL").Should().StartWith(kernel.Split('-')[1] + ".");
        result.Fact("COMPLAINTS").Should().Be("0", "{0}", result.Console);
    }

    [NestedTheory]
    [MemberData(nameof(All))]
    public void Split_and_packed_disks_read_as_the_host_has_them_and_keep_what_is_written(string kernel, string run)
    {
        LabResult result = runs[kernel, run];

        result.Fact("PACKED-vda").Should().Be("0");
        result.Fact("PACKED-vdb").Should().Be("1");
        result.Fact("SUM-vda").Should().Be(runs.Digest);
        result.Fact("SUM-vdb").Should().Be(runs.Digest);
        result.Fact("WROTE").Should().NotBeEmpty().And.Be(result.Note("HOST"));
    }

    [NestedTheory]
    [MemberData(nameof(All))]
    public void The_network_carries_pings_and_a_transfer_each_way(string kernel, string run)
    {
        LabResult result = runs[kernel, run];

        result.Fact("PING").Should().Be("3");
        result.Fact("DOWN").Should().Be(runs.Digest);
        result.Fact("UP").Should().Be(runs.Digest);
    }

    [NestedTheory]
    [MemberData(nameof(All))]
    public void Entropy_and_console_work(string kernel, string run)
    {
        runs[kernel, run].Fact("ENTROPY").Should().Be("32");
        runs[kernel, run].Note("CONSOLE").Should().Be($"said by {kernel}");
    }

    [NestedTheory]
    [MemberData(nameof(Each))]
    public void Devices_interrupt_by_messages_or_without_MSI_by_lines(string kernel)
    {
        int.Parse(runs[kernel, "msix"].Fact("MSI")).Should().BeGreaterThan(4);
        runs[kernel, "msix"].Fact("INTX").Should().Be("0");
        runs[kernel, "nomsi"].Fact("MSI").Should().Be("0");
        int.Parse(runs[kernel, "nomsi"].Fact("INTX")).Should().BePositive();
    }

    [NestedTheory]
    [MemberData(nameof(Each))]
    public void A_disk_that_is_removed_and_found_again_or_reset_by_its_function_works(string kernel)
    {
        LabResult result = runs[kernel, "msix"];

        result.Fact("ROUNDS").Should().Be("3");
        result.Fact("SUM-AFTER").Should().Be(runs.Digest);
    }

    /// <summary>A lab for each kernel when its first result is asked for. Under QEMU 7.2 guests of 6.12 die now and then (docs/lab.md).</summary>
    public sealed class Runs
    {
        private const string Arguments =
            "--disk path=$SHARE/disk,readonly=on --disk path=data,packed=on --net tap=vmmker0,ip=192.168.52.1,mask=255.255.255.0 "
            + "--rng src=/dev/urandom";

        private const string Serve = """
            cp $SHARE/disk data; truncate -s 12M data
            mkdir -p web/cgi-bin
            ln -s $SHARE/disk web/disk
            printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\n' >web/cgi-bin/fetch
            echo 'busybox wget -q -O - http://192.168.52.2:8081/cgi-bin/disk | sha256sum' >>web/cgi-bin/fetch
            chmod 755 web/cgi-bin/fetch
            busybox httpd -p 8080 -h web
            """;

        // The second disk is written behind its first 8 MiB only.
        private const string Use = """
            sum() { dd if=/dev/$1 bs=1M count=8 iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1; }
            echo "KERNEL $(uname -r)"
            for d in vda vdb; do
                echo "PACKED-$d $(cut -c35 /sys/block/$d/device/features)"
                echo "SUM-$d $(sum $d)"
            done
            dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null
            dd if=/tmp/data of=/dev/vdb bs=256k seek=32 oflag=direct conv=fsync 2>/dev/null || exit 1
            echo "WROTE $(sha256sum </tmp/data | cut -d' ' -f1)"
            echo "ENTROPY $(head -c 32 /dev/hwrng | wc -c)"
            echo "said by @KERNEL@" >/dev/hvc0
            ip link set eth0 up; ip addr add 192.168.52.2/24 dev eth0
            echo "PING $(ping -c 3 -i 0.2 -W 5 192.168.52.1 | awk '/packets transmitted/ { print $4 }')"
            echo "DOWN $(wget -q -O - http://192.168.52.1:8080/disk | sha256sum | cut -d' ' -f1)"
            mkdir -p /tmp/web/cgi-bin
            printf '#!/bin/sh\nprintf "Content-Type: application/octet-stream\\r\\n\\r\\n"\ncat /dev/vda\n' >/tmp/web/cgi-bin/disk
            chmod 755 /tmp/web/cgi-bin/disk
            httpd -p 8081 -h /tmp/web
            echo "UP $(wget -q -O - http://192.168.52.1:8080/cgi-bin/fetch | cut -d' ' -f1)"
            echo "MSI $(grep -c 'PCI-MSI.*virtio' /proc/interrupts)"
            echo "INTX $(grep -c 'IO-APIC.*virtio' /proc/interrupts)"
            """;

        private const string Rounds = """
            rounds=0
            while [ $rounds -lt 3 ]; do
                function=$(basename $(readlink -f /sys/block/vda/device/..))
                echo 1 >/sys/bus/pci/devices/$function/remove; [ ! -e /sys/block/vda ] || exit 1
                echo 1 >/sys/bus/pci/rescan
                for try in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; sleep 0.2; done
                function=$(basename $(readlink -f /sys/block/vda/device/..))
                [ "$(cat /sys/bus/pci/devices/$function/reset_method)" = flr ] || exit 1
                echo $function >/sys/bus/pci/drivers/virtio-pci/unbind || exit 1
                echo 1 >/sys/bus/pci/devices/$function/reset || exit 1
                echo $function >/sys/bus/pci/drivers/virtio-pci/bind || exit 1
                rounds=$((rounds + 1))
            done
            for try in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; sleep 0.2; done
            echo "ROUNDS $rounds"
            echo "SUM-AFTER $(sum vda)"
            """;

        private const string Report = """
            dmesg -r | grep -E '^<[0-3]>'
            echo "COMPLAINTS $(dmesg -r | grep -cE '^<[0-3]>')"
            """;

        private const string After = """
            pkill -f 'httpd -p 8080' || kill $(busybox pidof busybox)
            echo "HOST $(dd if=data bs=1M skip=8 2>/dev/null | sha256sum | cut -d' ' -f1)"
            echo "CONSOLE $(tr -d '\r' <hvc)"
            """;

        private readonly byte[] _disk = RandomNumberGenerator.GetBytes(8 << 20);
        private readonly Dictionary<string, Lazy<IReadOnlyDictionary<string, LabResult>>> _labs;

        public Runs()
        {
            Digest = Convert.ToHexStringLower(SHA256.HashData(_disk));
            _labs = Kernels.ToDictionary(kernel => kernel, kernel => new Lazy<IReadOnlyDictionary<string, LabResult>>(() => LabSession.Run(
                [Case(kernel, "msix", "", Rounds), Case(kernel, "nomsi", "pci=nomsi", "")],
                new Dictionary<string, byte[]> { ["disk"] = _disk },
                options: ["--qemu-version", "10.0"])));
        }

        public string Digest { get; }

        public LabResult this[string kernel, string run] => _labs[kernel].Value[run];

        private static LabCase Case(string kernel, string name, string commandLine, string rounds)
        {
            return new(name, Arguments)
            {
                Flavour = kernel,
                Console = "file=hvc",
                CommandLine = "nokaslr init_on_alloc=0 apparmor=0 cryptomgr.notests audit=0 nowatchdog tsc=reliable no_timer_check " + commandLine,
                Before = Serve,
                Guest = string.Join('\n', Use.Replace("@KERNEL@", kernel, StringComparison.Ordinal), rounds, Report),
                After = After,
            };
        }
    }
}
