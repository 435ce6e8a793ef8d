using System;
using System.CommandLine;
using System.Linq;
using System.Net;
using Microsoft.Extensions.Logging;
using Vmm.Cli;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Limits;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Cli;

/// <summary>What the command line becomes.</summary>
public sealed class RunOptionsTests
{
    [Fact]
    public void Defaults()
    {
        RunArguments run = Read("--kernel", "/k");
        run.Machine.KernelPath.Should().Be("/k");
        run.Machine.InitramfsPath.Should().BeNull();
        run.Machine.CommandLine.Should().BeEmpty();
        run.Machine.CpuCount.Should().Be(1);
        run.Machine.Memory.Should().Be(new MemoryOptions(512UL << 20));
        run.Machine.Devices.Should().Equal(new EntropyOptions("/dev/urandom"));
        run.Machine.RootPorts.Should().BeEmpty();
        run.Machine.Serial.Kind.Should().Be(CharacterKind.Terminal);
        run.RestartOnReset.Should().BeTrue();
        run.PowerButtonOnTerm.Should().BeFalse();
        run.LogLevel.Should().Be(LogLevel.Warning, "an operator has to see what does not work");
    }

    [Fact]
    public void Every_word()
    {
        RunArguments run = Read(
            "--kernel", "/k", "--initramfs", "/i", "--cmdline", "@console=ttyS0 -x --y", "--cpus", "boot=4",
            "--memory", "size=5G,shared=on,hugepages=on,thp=off",
            "--disk", "path=/a", "--disk", "path=/b,readonly=on,direct=on,_disable_io_uring=on,id=data,serial=S1,num_queues=4,queue_size=128",
            "--net", "tap=tap0", "--net", "tap=tap1,mac=52:54:00:12:34:56,ip=192.168.1.1,mask=255.255.255.0,id=lan,num_queues=8",
            "--device", "path=/d", "--device", "path=/e,x_nv_gpudirect_clique=3,p2p=on,mmap=off,iommufd=on,id=gpu",
            "--rng", "src=/r", "--console", "file=/c", "--pci-root-ports", "2", "--serial", "null", "--no-reboot", "--log-level", "debug");
        run.Machine.InitramfsPath.Should().Be("/i");
        run.Machine.CommandLine.Should().Be("@console=ttyS0 -x --y");
        run.Machine.CpuCount.Should().Be(4);
        run.Machine.Memory.Should().Be(new MemoryOptions(5UL << 30, Shared: true, HugePages: true, TransparentHugePages: false));
        run.Machine.Devices.Should().Equal(
            new DiskOptions("/a"),
            new DiskOptions("/b", ReadOnly: true, Serial: "S1", QueueCount: 4, Direct: true, DisableIoUring: true) { Id = "data", QueueSize = 128 },
            new NetOptions("tap0"),
            new NetOptions("tap1", new MacAddress(0x5254_0012_3456), IPAddress.Parse("192.168.1.1"), IPAddress.Parse("255.255.255.0"), Pairs: 4)
            {
                Id = "lan",
            },
            new EntropyOptions("/r"),
            new ConsoleOptions(new CharacterOptions(CharacterKind.File, "/c")),
            new HostDeviceOptions("/d"),
            new HostDeviceOptions("/e") { Id = "gpu", GpuDirectClique = 3, PeerToPeer = true, MapBars = false, Iommufd = true });
        run.Machine.RootPorts.Select(port => (port.Name, port.SlotNumber)).Should().Equal(("port1", 1), ("port2", 2));
        run.Machine.Serial.Kind.Should().Be(CharacterKind.Null);
        run.RestartOnReset.Should().BeFalse();
        run.LogLevel.Should().Be(LogLevel.Debug);
    }

    [Theory]
    [InlineData("--disk", "path=/a")]
    [InlineData("--net", "tap=t")]
    [InlineData("--rng", "src=/r")]
    [InlineData("--console", "file=/c")]
    [InlineData("--console", "tty")]
    [InlineData("--console", "pty")]
    public void Words_that_every_virtio_device_has(string option, string value)
    {
        Device(option, value).Should().Be((new VirtioPciOptions(), null, null));
        (VirtioPciOptions transport, ushort? queueSize, string? id) =
            Device(option, value + ",packed=on,in_order=on,event_idx=off,indirect=off,vectors=0,iommu=on,use_64bit_bar=off,"
                + "ring_reset=off,notification_data=on,queue_size=1024,id=here");
        transport.Should().Be(new VirtioPciOptions
        {
            PackedRing = true,
            InOrder = true,
            EventIndex = false,
            IndirectDescriptors = false,
            Vectors = 0,
            AccessPlatform = true,
            Use64BitBar = false,
            RingReset = false,
            NotificationData = true,
        });
        queueSize.Should().Be(1024);
        id.Should().Be("here");
        (transport, queueSize, _) = Device(
            option, value + ",packed=off,in_order=off,event_idx=on,indirect=on,vectors=2048,iommu=off,use_64bit_bar=on,"
                + "ring_reset=on,notification_data=off,queue_size=32768");
        transport.Should().Be(new VirtioPciOptions { Vectors = 2048 });
        queueSize.Should().Be(32768);
    }

    [Theory]
    [InlineData("--disk", "path=/a")]
    [InlineData("--net", "tap=t")]
    [InlineData("--rng", "src=/r")]
    [InlineData("--console", "file=/c")]
    public void Words_that_every_virtio_device_has_with_values_that_are_wrong(string option, string value)
    {
        (string Word, string Reason)[] wrong =
        [
            ("packed=yes", "neither on nor off"), ("packed=", "needs a value"), ("packed", "needs a value"), ("in_order=2", "neither on nor off"),
            ("event_idx=1", "neither on nor off"),
            ("indirect=true", "neither on nor off"), ("iommu=ON", "neither on nor off"), ("use_64bit_bar=no", "neither on nor off"),
            ("ring_reset=no", "neither on nor off"), ("notification_data=1", "neither on nor off"), ("vectors=-1", "not a number"),
            ("vectors=2049", "not from 0 to 2048"), ("vectors=all", "not a number"), ("queue_size=1", "not from 2 to 32768"),
            ("queue_size=65536", "not from 2 to 32768"), ("queue_size=48", "not a power of two"), ("packed=on,packed=on", "given twice"),
            ("paged=on", "unknown word 'paged'"),
        ];
        foreach ((string word, string reason) in wrong)
        {
            ((Action)(() => Read("--kernel", "/k", "--serial", "off", option, $"{value},{word}"))).Should().Throw<UsageException>()
                .Which.Message.Should().StartWith(option).And.Contain(word.Split(',')[^1]).And.Contain(reason);
        }
    }

    [Theory]
    [InlineData("--disk", "path=/a,queue_size=100", "not a power of two")]
    [InlineData("--disk", "readonly=on", "needs the word path")]
    [InlineData("--disk", "path=/a,serial=123456789012345678901", "longer than 20 bytes")]
    [InlineData("--disk", "path=/a,serial=\u00fc", "not ASCII")]
    [InlineData("--disk", "path=/a,bw_size=1M", "bw_size=1M: needs bw_refill_time=")]
    [InlineData("--disk", "path=/a,bw_size=1M,bw_refill_time=0", "bw_size=1M: needs bw_refill_time=")]
    [InlineData("--disk", "path=/a,bw_size=much,bw_refill_time=1", "bw_size=much: not a size")]
    [InlineData("--disk", "path=/a,bw_size=9223372036854775808,bw_refill_time=1", "more than 2^63 bytes")]
    [InlineData("--disk", "path=/a,bw_one_time_burst=1M", "bw_one_time_burst=1M: without bw_size=")]
    [InlineData("--disk", "path=/a,ops_refill_time=100", "ops_refill_time=100: without ops_size=")]
    [InlineData("--disk", "path=/a,ops_size=5,ops_refill_time=-1", "ops_refill_time=-1: not a number")]
    [InlineData("--disk", "path=/a,ops_size=5,ops_refill_time=2147483648", "not from 0 to 2147483647")]
    [InlineData("--disk", "path=/a,ops_size=5K,ops_refill_time=1", "ops_size=5K: not a number")]
    [InlineData("--net", "tap=a,ops_size=5", "ops_size=5: needs ops_refill_time=")]
    [InlineData("--rng", "src=/r,bw_size=1", "unknown word 'bw_size'")]
    [InlineData("--net", "tap=a,num_queues=3", "not a multiple of 2")]
    [InlineData("--net", "tap=a,num_queues=0", "not from 2 to 128")]
    [InlineData("--net", "tap=a,num_queues=130", "not from 2 to 128")]
    [InlineData("--net", "tap=a/b", "not a name of an interface")]
    [InlineData("--net", "tap=a,ip=10.0.0.1", "ip= without mask=")]
    [InlineData("--net", "tap=a,mask=255.0.0.0", "mask= without ip=")]
    [InlineData("--net", "tap=a,ip=10.1,mask=255.0.0.0", "not an IPv4 address")]
    [InlineData("--net", "tap=a,ip=::1,mask=255.0.0.0", "not an IPv4 address")]
    [InlineData("--net", "tap=a,ip=10.0.0.1,mask=255.0.255.0", "not a network mask")]
    [InlineData("--net", "tap=a,mac=52:54:00:12:34", "not an Ethernet address")]
    [InlineData("--net", "mac=52:54:00:12:34:56", "needs the word tap")]
    [InlineData("--net", "fd=2", "not from 3 to 2147483647")]
    [InlineData("--net", "fd=[3,3]", "not 1 to 64 different descriptors")]
    [InlineData("--net", "fd=3,tap=a", "tap= with fd=")]
    [InlineData("--net", "fd=3,ip=10.0.0.1,mask=255.0.0.0", "ip= with fd=")]
    [InlineData("--net", "fd=3,mask=255.0.0.0", "mask= with fd=")]
    [InlineData("--net", "fd=[3,4],num_queues=2", "not 4")]
    [InlineData("--net", "tap=a,mac=01:54:00:12:34:56", "not the address of one card")]
    [InlineData("--memory", "size=300M,hugepages=on,shared=maybe", "neither on nor off")]
    [InlineData("--memory", "size=300M,thp=never", "neither on nor off")]
    [InlineData("--memory", "size=301M,hugepages=on", "size of a huge page")]
    [InlineData("--memory", "size=268435457", "size of a page")]
    [InlineData("--memory", "shared=on", "needs the word size")]
    [InlineData("--cpus", "boot=two", "not a number")]
    [InlineData("--console", "null", "want off, tty, pty or file=FILE")]
    [InlineData("--console", "packed=on", "want off, tty, pty or file=FILE")]
    [InlineData("--console", "tty,file=/c", "want off, tty, pty or file=FILE")]
    [InlineData("--console", "vectors=1,tty", "'tty'")]
    [InlineData("--serial", "null,file=/c", "want off, tty, pty, null or file=FILE")]
    [InlineData("--serial", "tty,packed=on", "unknown word 'packed'")]
    [InlineData("--serial", "pty,file=/c", "want off, tty, pty, null or file=FILE")]
    [InlineData("--console", "pty,file=/c", "want off, tty, pty or file=FILE")]
    [InlineData("--rng", "packed=on", "needs the word src")]
    [InlineData("--rng", "off,id=x", "unknown word 'off'")]
    [InlineData("--console", "off,id=x", "want off, tty, pty or file=FILE")]
    [InlineData("--pci-root-ports", "32", "not a number from 0 to 31")]
    [InlineData("--pci-root-ports", "-1", "not a number from 0 to 31")]
    [InlineData("--log-level", "loud", "want one of")]
    [InlineData("--on-term", "reset", "want stop or power-button")]
    [InlineData("--trace", "", "an empty word")]
    [InlineData("--trace", "devices=rng", "needs the word file")]
    [InlineData("--trace", "/t,file=/u", "a second file")]
    [InlineData("--trace", "/t,devices=rng+disk0", "no device disk0; there are rng, serial")]
    [InlineData("--trace", "/t,device=rng", "unknown word 'device'")]
    public void Values_that_are_wrong(string option, string value, string reason)
    {
        ((Action)(() => Read("--kernel", "/k", option, value))).Should().Throw<UsageException>()
            .Which.Message.Should().StartWith(option).And.Contain(reason);
    }

    [Theory]
    [Trait("Behaviour", "IO-5")]
    [InlineData("--disk", "path=/a")]
    [InlineData("--net", "tap=t")]
    public void Words_of_a_limit(string option, string value)
    {
        Limit("bw_size=10M,bw_one_time_burst=1G,bw_refill_time=1000,ops_size=500,ops_one_time_burst=0,ops_refill_time=100")
            .Should().Be(new RateLimiterOptions(new TokenBucketOptions(10 << 20, 1000, 1 << 30), new TokenBucketOptions(500, 100, 0)));
        Limit("ops_size=500,ops_refill_time=100").Should().Be(new RateLimiterOptions(null, new TokenBucketOptions(500, 100)));
        Limit("bw_size=5,bw_refill_time=1,ops_size=0,ops_refill_time=100").Should().Be(new RateLimiterOptions(new TokenBucketOptions(5, 1)));
        Limit("bw_size=0").Should().BeNull();
        Limit("num_queues=2").Should().BeNull();

        RateLimiterOptions? Limit(string words) => Read("--kernel", "/k", option, $"{value},{words}").Machine.Devices[0] switch
        {
            DiskOptions disk => disk.RateLimiterConfig,
            NetOptions net => net.RateLimiterConfig,
            _ => throw new ArgumentException(option),
        };
    }

    [Theory]
    [InlineData("stop", false)]
    [InlineData("power-button", true)]
    public void What_SIGTERM_does(string value, bool presses)
    {
        Read("--kernel", "/k", "--on-term", value).PowerButtonOnTerm.Should().Be(presses);
    }

    [Fact]
    public void Two_devices_with_one_id()
    {
        ((Action)(() => Read("--kernel", "/k", "--disk", "path=/a,id=x", "--net", "tap=t,id=x"))).Should().Throw<UsageException>()
            .Which.Message.Should().Contain("another device has this id");
    }

    [Theory]
    [Trait("Behaviour", "CON-5")]
    [InlineData("--disk", "path=/a,id=disk1", "--disk", "path=/b", "--disk id=disk1: *disk /a*disk /b*")]
    [InlineData("--net", "tap=t,id=rng", "--disk", "path=/b", "--rng id=rng: *net t*rng /dev/urandom*")]
    [InlineData("--disk", "path=/a,id=port1", "--pci-root-ports", "1", "--disk id=port1: *root port*disk /a*")]
    public void An_id_that_a_device_gets_by_itself_is_taken(string option, string value, string option2, string value2, string message)
    {
        ((Action)(() => Read("--kernel", "/k", option, value, option2, value2))).Should().Throw<UsageException>().WithMessage(message);
    }

    [Fact]
    public void No_entropy_device_and_no_console()
    {
        Read("--kernel", "/k", "--rng", "off", "--console", "off").Machine.Devices.Should().BeEmpty();
        ((Action)(() => Read("--kernel", "/k", "--rng", "off", "--rng", "off"))).Should().Throw<UsageException>().WithMessage("--rng off: is given twice");
    }

    [Theory]
    [InlineData("fd=3", new[] { 3 })]
    [InlineData("fd=[3,4],num_queues=4,id=lan", new[] { 3, 4 })]
    [InlineData("id=lan,fd=[7,5,6]", new[] { 7, 5, 6 })]
    public void A_card_on_descriptors(string value, int[] descriptors)
    {
        NetOptions net = Read("--kernel", "/k", "--net", value).Machine.Devices.OfType<NetOptions>().Single();
        net.Tap.Should().BeEmpty();
        net.Pairs.Should().Be(descriptors.Length);
        net.Descriptors!.Select(static descriptor => (int)descriptor.DangerousGetHandle()).Should().Equal(descriptors);
        net.Id.Should().Be(value.Contains("id=", StringComparison.Ordinal) ? "lan" : null);
    }

    [Fact]
    public void As_many_pseudo_terminals_as_devices()
    {
        MachineOptions machine = Read("--kernel", "/k", "--serial", "pty", "--console", "pty,id=c").Machine;
        machine.Serial.Should().Be(new CharacterOptions(CharacterKind.Pty));
        machine.Devices.Should().EndWith(new ConsoleOptions(new CharacterOptions(CharacterKind.Pty)) { Id = "c" });
        Read("--kernel", "/k", "--serial", "pty", "--console", "tty").Machine.Serial.Kind.Should().Be(CharacterKind.Pty);
    }

    [Fact]
    public void One_terminal_for_two()
    {
        ((Action)(() => Read("--kernel", "/k", "--console", "tty"))).Should().Throw<UsageException>().Which.Message.Should().Contain("--serial off");
        Read("--kernel", "/k", "--console", "tty", "--serial", "off").Machine.Devices.Should()
            .EndWith(new ConsoleOptions(new CharacterOptions(CharacterKind.Terminal)));
    }

    [Theory]
    [InlineData("-", "-", null)]
    [InlineData("/t", "/t", null)]
    [InlineData("file=/a=b,devices=rng", "/a=b", "rng")]
    [InlineData("/t,devices=data+port1+serial+pci", "/t", "data+port1+serial+pci")]
    [Trait("Behaviour", "BUS-13")]
    public void A_trace_of_devices_by_their_ids(string value, string path, string? devices)
    {
        TraceArguments trace = Read("--kernel", "/k", "--disk", "path=/a,id=data", "--pci-root-ports", "1", "--trace", value).Trace!;
        trace.Path.Should().Be(path);
        (trace.Devices is null ? null : string.Join('+', trace.Devices)).Should().Be(devices);
        Read("--kernel", "/k").Trace.Should().BeNull();
    }

    private static (VirtioPciOptions Transport, ushort? QueueSize, string? Id) Device(string option, string value)
    {
        MachineOptions machine = Read("--kernel", "/k", "--serial", "off", option, value).Machine;
        VirtioOptions device = machine.Devices.OfType<VirtioOptions>().Single(device => machine.Catalogue.KindOf(device).Option == option);
        return (device.Transport, device.QueueSize, device.Id);
    }

    private static RunArguments Read(params string[] arguments)
    {
        var options = new RunOptions();
        ParseResult result = options.CreateCommand().Parse(arguments, VmmCommand.CreateParserConfiguration());
        result.Errors.Should().BeEmpty();
        return options.Read(result);
    }
}
