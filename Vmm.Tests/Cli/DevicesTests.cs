using System;
using System.IO;
using System.Linq;
using Vmm.Tests.Pci;
using Vmm.Tests.Virtio.Devices;

namespace Vmm.Tests.Cli;

/// <summary><c>vmm devices</c>: what a guest would be given, without one.</summary>
public sealed class DevicesTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmm-devices");
    private readonly string _disk;

    public DevicesTests()
    {
        _disk = Path.Combine(_folder.FullName, "disk");
        File.WriteAllBytes(_disk, new byte[1 << 20]);
    }

    public void Dispose() => _folder.Delete(true);

    [Fact]
    public void A_function_is_shown_with_all_that_it_has()
    {
        VmmResult result = VmmProcess.Run("devices", "--disk", $"path={_disk},readonly=on,num_queues=2,queue_size=64,packed=on,id=root", "--rng", "off");
        result.Status.Should().Be(0, result.Error);
        result.Error.Should().BeEmpty();
        string[] facts = Facts(result.Output, "01.0 root");
        facts.Where(static fact => !fact.StartsWith("address 0x", StringComparison.Ordinal)).Should().StartWith(
        [
            "address 00:01.0", "class mass storage controller [0180]", "vendor 0x1af4", "device 0x1042", "revision 0x01",
            $"back-end {_disk}, read-only",
        ]);
        facts.Should().ContainInOrder(
            "pin INTA on GSI 17", "bar0", "kind Memory64", "prefetchable no", "size 0x0000000000008000", "decodes no",
            "0x0 common, 0x40 bytes", "0x1000 isr, 0x1 bytes", "0x2000 device, 0x3c bytes", "0x3000 notify, 0x8 bytes",
            "0x4000 msix-table, 0x30 bytes", "0x5000 msix-pba, 0x8 bytes",
            "msix: vectors 3",
            "capabilities",
            "0x40 virtio common configuration: BAR 0 at 0x0, 0x40 bytes",
            "0x50 virtio notifications: BAR 0 at 0x3000, 0x8 bytes",
            "0x64 virtio ISR status: BAR 0 at 0x1000, 0x1 bytes",
            "0x74 virtio device configuration: BAR 0 at 0x2000, 0x3c bytes",
            "0x84 virtio configuration window",
            "0x98 MSI-X: table in BAR 0 at 0x4000, pending bits in BAR 0 at 0x5000",
            "0xa4 power management: D0, D3hot (keeps its state)",
            "0xac PCI Express: root complex integrated endpoint, function-level reset",
            "transport",
            "offered SEG_MAX RO BLK_SIZE FLUSH TOPOLOGY CONFIG_WCE MQ INDIRECT_DESC EVENT_IDX VERSION_1 RING_PACKED RING_RESET",
            "queue0: queue_size 64", "queue1: queue_size 64");
        facts.Should().Contain(static fact => fact.EndsWith("type Block", StringComparison.Ordinal))
            .And.NotContain(static fact => fact.StartsWith("vector0", StringComparison.Ordinal));
    }

    [Fact]
    public void Functions_come_in_bus_order_and_every_time_the_same()
    {
        string[] words =
        [
            "devices", "--console", "file=/dev/null,in_order=on", "--rng", "src=/dev/urandom,vectors=0", "--disk", $"path={_disk}", "--memory",
            "size=4G",
        ];
        VmmResult result = VmmProcess.Run(words);
        result.Status.Should().Be(0, result.Error);
        string[] functions = [.. result.Output.Split('\n').Where(static line => line.Length > 8 && line.StartsWith('│'))
            .Where(static line => char.IsDigit(line[6]) && char.IsDigit(line[7])).Select(static line => line[6..])];
        functions.Should().Equal("00.0 host-bridge", "01.0 disk0", "02.0 rng", "03.0 console");
        result.Output.Should().StartWith("machine\n├─ vcpus 1; memory 0x0000000100000000\n├─ pci\n").And.ContainAll(
            "configuration memory 0x00000000e0000000", "ports 0x1000 to 0xffff", "IN_ORDER", "back-end /dev/urandom", "type Entropy");
        VmmProcess.Run(words).Output.Should().Be(result.Output);
    }

    [Fact]
    [Trait("Behaviour", "PCI-15")]
    public void Registers_lie_below_4_GiB_on_request()
    {
        (string Kind, string Address) Bar(params string[] words)
        {
            VmmResult result = VmmProcess.Run(["devices", "--memory", "size=4G", "--rng", .. words]);
            result.Status.Should().Be(0, result.Error);
            string[] facts = [.. Facts(result.Output, "01.0 rng").SkipWhile(static fact => fact != "bar0")];
            facts.Should().Contain("size 0x0000000000008000");
            return (facts.First(static fact => fact.StartsWith("kind ", StringComparison.Ordinal)),
                facts.First(static fact => fact.StartsWith("address 0x", StringComparison.Ordinal)));
        }

        Bar("src=/dev/urandom,use_64bit_bar=off").Should().Be(("kind Memory32", "address 0x00000000c0000000"));
        (string kind, string address) = Bar("src=/dev/urandom");
        kind.Should().Be("kind Memory64");
        address.Should().NotStartWith("address 0x00000000", "there is room above 4 GiB");
    }

    [Fact]
    public void What_is_looked_at_is_left_as_it_is()
    {
        string console = Path.Combine(_folder.FullName, "console");
        File.WriteAllText(console, "what a guest said");
        VmmProcess.Run("devices", "--console", $"file={console}", "--serial", $"file={console}").Status.Should().Be(0);
        File.ReadAllText(console).Should().Be("what a guest said");
    }

    [Theory]
    [InlineData("--disk", "path=/absent", "does not exist")]
    [InlineData("--rng", "src=/absent", "cannot be opened")]
    [InlineData("--console", "file=/absent/file", "No such file")]
    public void A_back_end_that_cannot_be_opened_is_the_error_of_a_run(string option, string value, string reason)
    {
        VmmProcess.Run("devices", option, value).ShouldHaveFailed(1, option, "/absent", reason);
    }

    [Fact]
    public void Wrong_words_are_named()
    {
        VmmProcess.Run("devices", "--disk", "path=/a,vectors=x").ShouldHaveFailed(2, "--disk", "vectors=x", "not a number", "vmm devices --help");
        VmmProcess.Run("devices", "fly").ShouldHaveFailed(2, "fly", "unknown word");
        VmmProcess.Run("devices", "--help").Output.Should().ContainAll("--disk", "--config-space", "packed=on")
            .And.NotContain("(needed)", "a machine can be shown without a kernel");
    }

    [Fact]
    public void Root_ports_come_last()
    {
        VmmResult result = VmmProcess.Run("devices", "--disk", $"path={_disk}", "--pci-root-ports", "2");
        result.Status.Should().Be(0, result.Error);
        result.Output.Should().ContainAll(
            "01.0 disk0", "02.0 rng", "back-end /dev/urandom", "03.0 port1", "04.0 port2", "occupied no", "PCI Express: root port",
            "secondary bus 2");
    }

    [Theory]
    [InlineData("/")]
    [InlineData("//")]
    public void A_device_of_the_host_without_a_name_is_called_as_it_was_given(string path)
    {
        VmmProcess.Run("devices", "--device", $"path={path}").Should()
            .Be(new VmmResult(1, "", $"vmm: --device {path}: looking the device up: not a PCI device; want /sys/bus/pci/devices/ADDRESS\n"));
    }

    [RootFact("unshare", "mount")]
    public void No_hypervisor_is_needed()
    {
        string script = $"mount -t tmpfs none /dev && exec '{VmmProcess.Command}' devices --disk 'path={_disk}' --rng off";
        VmmResult result = VmmProcess.RunProgram("unshare", ["--mount", "sh", "-c", script]);
        result.Status.Should().Be(0, result.Error);
        result.Output.Should().Contain("01.0 disk0");
    }

    [LspciFact]
    [Trait("Behaviour", "PCI-15")]
    public void Lspci_shows_every_capability_of_every_function_as_meant()
    {
        VmmResult result = VmmProcess.Run(
            "devices", "--config-space", "--disk", $"path={_disk},num_queues=4", "--rng", "src=/dev/urandom,vectors=0", "--console",
            "file=/dev/null,vectors=1");
        result.Status.Should().Be(0, result.Error);
        string[] sections = Lspci.Sections(Lspci.Read(result.Output, notKnownToLspci: "VirtIO: <unknown>"));
        sections.Select(section => section[..7]).Should().Equal("00:00.0", "00:01.0", "00:02.0", "00:03.0");
        sections[0].Should().Contain("Host bridge");
        foreach (string section in sections[1..])
        {
            section.Should().Contain("VirtIO: CommonCfg\n\t\tBAR=0 offset=00000000 size=00000040")
                .And.Contain("VirtIO: ISR\n\t\tBAR=0 offset=00001000 size=00000001").And.Contain("VirtIO: Notify")
                .And.Contain("Power Management version 3").And.Contain("Status: D0 NoSoftRst+")
                .And.Contain("Express (v2) Root Complex Integrated Endpoint").And.Contain("FLReset+").And.Contain("TransPend-")
                .And.Contain("Interrupt: pin A").And.Contain("(64-bit, non-prefetchable)");
        }

        sections[1].Should().Contain("VirtIO: DeviceCfg\n\t\tBAR=0 offset=00002000 size=0000003c")
            .And.Contain("VirtIO: Notify\n\t\tBAR=0 offset=00003000 size=00000010 multiplier=00000004")
            .And.Contain("MSI-X: Enable- Count=5 Masked-\n\t\tVector table: BAR=0 offset=00004000\n\t\tPBA: BAR=0 offset=00005000");
        sections[2].Should().NotContain("MSI-X").And.NotContain("DeviceCfg");
        sections[3].Should().Contain("MSI-X: Enable- Count=1 Masked-").And.Contain("VirtIO: DeviceCfg\n\t\tBAR=0 offset=00002000 size=0000000c");
    }

    [TapFact]
    [Trait("Behaviour", "PCI-15")]
    public void A_tap_that_was_made_for_looking_is_gone_afterwards()
    {
        VmmResult result = VmmProcess.Run("devices", "--net", "tap=vmmdev0,mac=52:54:00:12:34:56,num_queues=4");
        result.Status.Should().Be(0, result.Error);
        result.Output.Should().ContainAll("back-end tap vmmdev0", "type Net", "queue4: queue_size 256", "CTRL_VQ", "msix: vectors 6", "Ethernet controller");
        Directory.Exists("/sys/class/net/vmmdev0").Should().BeFalse();
    }

    /// <summary>The lines under a component, value by value and part by part, in its order.</summary>
    private static string[] Facts(string output, string component)
    {
        string[] lines = output.Split('\n');
        int at = Array.FindIndex(lines, line => line.EndsWith(component, StringComparison.Ordinal));
        at.Should().BeGreaterThan(0, output);
        int depth = lines[at].IndexOf(component, StringComparison.Ordinal);
        return [.. lines[(at + 1)..].TakeWhile(line => line.Length > depth && !char.IsAsciiLetterOrDigit(line[depth]))
            .SelectMany(static line => line.TrimStart('│', '├', '└', '─', ' ').Split("; "))];
    }
}
