using System;
using System.IO;
using System.Linq;
using Vmm.DeviceModel.Tracing;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;

namespace Vmm.Tests.Pci;

/// <summary>Configuration accesses and BARs in a trace: by function and by the names of the specifications.</summary>
public sealed class ConfigurationTraceTests
{
    private readonly PciRig _rig = new();
    private readonly StringWriter _output = new();

    public ConfigurationTraceTests()
    {
        var function = new PciFunction(PciRig.Identity, new PciFunctionOptions { Name = "net0" });
        var msix = new MsixCapability(4, 0, 0x1000, 0, 0x2000);
        function.AddBar(new PciBar(0, PciBarKind.Memory32, 0x4000,
        [
            new PciBarRegion("registers", 0, 0x1000, new ConstantHandler(0x11)), msix.CreateTableRegion(), msix.CreatePendingRegion(),
        ]));
        function.AddCapability(new PowerManagementCapability());
        function.AddCapability(msix);
        function.AddBar(new PciBar(2, PciBarKind.Memory32, 0x1000, [new PciBarRegion("other", 0, 0x1000, new ConstantHandler(0))]));
        _rig.Add(function, 3);
        _rig.Add(new PciFunction(PciRig.Identity, new PciFunctionOptions { Name = "disk0" }), 4);
    }

    [Fact]
    [Trait("Behaviour", "BUS-13")]
    public void Accesses_by_memory_and_by_ports_name_function_and_register()
    {
        Trace(null, () =>
        {
            _rig.Read(0, 4);
            _rig.Write(4, 2, 6);
            _rig.Write(5, 1, 4);
            _rig.Read(0x10, 4, device: 4);
            _rig.Read(0, 4, device: 5);
            _rig.PortWrite(0x3c, 1, 10);
            _rig.Ports.Read(0xcf8, 4);
            _rig.Ports.Read(0xcf9, 1);
        }).Should().Equal(
            "net0 config.vendor_id -> 0x10421af4",
            "net0 config.command <- 6",
            "net0 config.command+1 <- 4",
            "disk0 config.bar0 -> 0",
            "pci config_address <- 0x8000183c",
            "net0 config.interrupt_line <- 0xa",
            "pci config_address -> 0x8000183c",
            "pci config_address+1 -> 0xff");
    }

    [Fact]
    [Trait("Behaviour", "BUS-13")]
    public void Capabilities_and_BARs_have_names()
    {
        Trace(["net0"], () =>
        {
            _rig.Read(0x44, 2);
            _rig.Write(0x4a, 2, 0x8000);
            _rig.Read(0x48, 1);
            _rig.Read(0x49, 1);
            _rig.Read(0x60, 4);
            _rig.Write(0x10, 4, 0xc000_0000);
            _rig.Write(4, 2, 2);
            _rig.Memory.Read(0xc000_0010, 1);
            _rig.Memory.Write(0xc000_101c, 4, 1);
            _rig.Memory.Read(0xc000_2000, 8);
            _rig.Memory.Read(0xc000_3000, 1);

            // Others are not seen, whoever stands for them.
            _rig.Read(0, 4, device: 4);
            _rig.Ports.Write(0xcf8, 4, 0);
        }).Should().Equal(
            "net0 config.pm.pmcsr -> 0",
            "net0 config.msix.message_control <- 0x8000",
            "net0 config.msix.id -> 0x11",
            "net0 config.msix.next -> 0",
            "net0 config+0x60 -> 0",
            "net0 config.bar0 <- 0xc0000000",
            "net0 config.command <- 2",
            "net0 registers+0x10 -> 0x11",
            "net0 msix_table.vector_control[1] <- 1",
            "net0 msix_pending[0..31] -> 0",
            "net0 bar0+0x3000 -> 0xff");
    }

    [Fact]
    public void Every_byte_of_a_header_that_is_not_reserved_has_a_name()
    {
        int[] reserved = [0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b];
        string[] lines = Trace(["net0"], () =>
        {
            for (int offset = 0; offset < 0x40; offset++)
            {
                _rig.Read(offset, 1);
            }
        });
        lines.Should().HaveCount(0x40);
        lines.Select((line, offset) => (Named: line.Contains("config.", StringComparison.Ordinal), Offset: offset))
            .Where(static entry => !entry.Named).Select(static entry => entry.Offset).Should().Equal(reserved);
    }

    private string[] Trace(string[]? devices, Action accesses)
    {
        using (var trace = new AccessTrace(_output, new AccessTraceOptions { Devices = devices }))
        {
            _rig.Memory.Observer = trace;
            _rig.Ports.Observer = trace;
            accesses();
            _rig.Memory.Observer = null;
            _rig.Ports.Observer = null;
        }

        return _output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(static line => line.Split(' ', 3)[2]).ToArray();
    }
}
