using System;
using System.Globalization;
using System.IO;
using System.Linq;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Bridges;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Diagnostics;
using Vmm.Pci.Host;
using Vmm.Pci.Interrupts;
using Vmm.Tests.Virtio.Transport;

namespace Vmm.Tests.Pci;

/// <summary>Dumps of functions with every capability, as the real lspci reads them.</summary>
[Trait("Behaviour", "PCI-15")]
public sealed class LspciTests
{
    [Fact]
    public void A_dump_has_an_address_and_lines_of_16_bytes()
    {
        var rig = new PciRig();
        rig.Add(PciRig.Function(), 3);
        string[] lines = Dump(writer => PciConfigurationDump.Write(rig.Bridge, writer)).Split('\n');
        lines[0].Should().StartWith("00:00.0 ");
        lines[1].Should().Be("000: 36 1b 08 00 00 00 00 00 00 00 00 06 00 00 00 00");
        int second = Array.FindIndex(lines, static line => line.StartsWith("00:03.0 ", StringComparison.Ordinal));
        second.Should().Be(1 + 256 + 1, "a function with 4 KiB has 256 lines, and an empty one follows");
        lines[second + 1].Should().Be("00: f4 1a 42 10 00 00 00 00 01 00 80 01 00 00 00 00");
        lines[second + 16].Should().StartWith("f0: ");
        lines.Length.Should().Be(second + 1 + 16 + 2);
    }

    [LspciFact]
    public void Every_capability_of_an_endpoint_shows_as_meant()
    {
        var rig = new PciRig();
        var msix = new MsixCapability(5, 0, 0x800, 0, 0xc00);
        var function = new PciFunction(PciRig.Identity, new PciFunctionOptions { Pin = InterruptPin.B, ExtendedConfigurationSpace = true });
        function.AddBar(new PciBar(0, PciBarKind.Memory64, 0x1000, [msix.CreateTableRegion(), msix.CreatePendingRegion()], prefetchable: true));
        function.AddBar(PciRig.Bar(2, PciBarKind.Io, 32, new RecordingHandler(32)));
        function.AddBar(PciRig.Bar(PciBar.RomIndex, PciBarKind.Rom, 0x1_0000, new RecordingHandler(0x1_0000)));
        function.AddCapability(new PowerManagementCapability(noSoftReset: true));
        function.AddCapability(new PciExpressCapability());
        function.AddCapability(new MsiCapability(8, is64Bit: true, perVectorMasking: true));
        function.AddCapability(msix);
        function.AddCapability(new VendorSpecificCapability([1, 2, 3]));
        rig.Add(function, 3);
        rig.Write(0x10, 4, 0xc000_0000);
        rig.Write(0x18, 4, 0xc000);
        rig.Write(4, 2, 7);
        rig.Write(function.Msi!.Offset + 4, 4, 0xfee0_1000);
        rig.Write(function.Msi.Offset + 2, 2, 0x21);

        string text = Lspci.Read(Dump(writer => PciConfigurationDump.Write(function, writer)));

        Lspci.Sections(text).Should().ContainSingle();
        text.Should().Contain("Power Management version 3").And.Contain("NoSoftRst+").And.Contain("Status: D0 ");
        text.Should().Contain("Express (v2) Root Complex Integrated Endpoint").And.Contain("FLReset+");
        text.Should().Contain("MSI: Enable+ Count=4/8 Maskable+ 64bit+").And.Contain("Address: 00000000fee01000");
        text.Should().Contain("MSI-X: Enable- Count=5 Masked-").And.Contain("BAR=0 offset=00000800").And.Contain("BAR=0 offset=00000c00");
        text.Should().Contain("Vendor Specific Information: Len=06");
        text.Should().Contain("Interrupt: pin B").And.Contain("(64-bit, prefetchable)").And.Contain("I/O ports at c000");
    }

    [LspciFact]
    public void Smaller_forms_show_as_meant()
    {
        var rig = new PciRig();
        var function = new PciFunction(PciRig.Identity);
        function.AddCapability(new MsiCapability(1, is64Bit: false));
        function.AddCapability(new PowerManagementCapability());
        function.AddCapability(new PciExpressCapability(functionLevelReset: false));
        rig.Add(function, 3);
        rig.Write(function.Capabilities[1].Offset + 4, 2, 3);
        string text = Lspci.Read(Dump(writer => PciConfigurationDump.Write(function, writer)));
        text.Should().Contain("MSI: Enable- Count=1/1 Maskable- 64bit-").And.Contain("Status: D3 NoSoftRst-").And.Contain("FLReset-");
    }

    [LspciFact]
    public void Root_ports_bridges_and_what_is_behind_show_as_meant()
    {
        var rig = new BridgeRig();
        PciRootPort port = rig.AddPort(2, new PciRootPortOptions { SlotNumber = 7, IoWindow = 0x1000 });
        PciBridge bridge = rig.AddBridge(rig.Host.Root, 4);
        var endpoint = new PciFunction(PciRig.Identity, new PciFunctionOptions { ExtendedConfigurationSpace = true });
        endpoint.AddCapability(new PciExpressCapability());
        port.Secondary.Add(endpoint, 0);
        bridge.Secondary.Add(PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new RecordingHandler(0x1000))), 9);
        rig.Host.Root.AssignResources();

        string text = Lspci.Read(Dump(writer => PciConfigurationDump.Write(rig.Host, writer)));

        string[] sections = Lspci.Sections(text);
        sections.Select(static section => section[..7]).Should().Equal("00:00.0", "00:02.0", "00:04.0", "01:00.0", "02:09.0");
        sections[1].Should().Contain("Bus: primary=00, secondary=01, subordinate=01").And.Contain("Express (v2) Root Port (Slot+)")
            .And.Contain("Slot #7").And.Contain("AttnBtn+ PwrCtrl- MRL- AttnInd+ PwrInd+ HotPlug+ Surprise+").And.Contain("PresDet+")
            .And.Contain("DLActive+").And.Contain("MSI: Enable- Count=1/1 Maskable+ 64bit+");
        sections[1].Should().MatchRegex("I/O behind bridge: .*4K").And.MatchRegex("Memory behind bridge: .*2M")
            .And.MatchRegex("Prefetchable memory behind bridge: .*32M");
        sections[2].Should().Contain("Bus: primary=00, secondary=02, subordinate=02").And.MatchRegex("Memory behind bridge: .*1M");
        sections[3].Should().Contain("Express (v2) Endpoint").And.Contain("Speed 2.5GT/s").And.Contain("Width x1");
    }

    [LspciFact]
    public void A_virtio_function_shows_as_meant()
    {
        using var rig = new TransportRig();

        // lspci has no name for the configuration window (cfg_type 5), which the specification demands: that one line it may not know.
        string text = Lspci.Read(Dump(writer => PciConfigurationDump.Write(rig.Bridge, writer)), notKnownToLspci: "VirtIO: <unknown>");
        rig.Function.Capabilities.OfType<VendorSpecificCapability>()
            .Where(capability => rig.Function.ReadConfiguration(capability.Offset, 4) >> 24 > 4).Should().ContainSingle()
            .Which.Should().Match<VendorSpecificCapability>(capability => rig.Function.ReadConfiguration(capability.Offset, 4) >> 24 == 5);
        Lspci.Sections(text).Should().HaveCountGreaterThan(1);
        text.Should().Contain("VirtIO: CommonCfg").And.Contain("VirtIO: Notify").And.Contain("VirtIO: ISR").And.Contain("MSI-X: Enable-");
    }

    private static string Dump(Action<TextWriter> write)
    {
        using var writer = new StringWriter(CultureInfo.InvariantCulture);
        write(writer);
        return writer.ToString();
    }
}
