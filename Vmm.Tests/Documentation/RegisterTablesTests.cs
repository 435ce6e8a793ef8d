using System;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text;
using Vmm.DeviceModel.Registers;
using Vmm.Kvm;
using Vmm.Machine;
using Vmm.Machine.Devices;
using Vmm.Pci;
using Vmm.Tests.Virtio.Transport;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Documentation;

/// <summary>docs/registers.md is printed from the tables that dispatch; run with VMMDEVICES_UPDATE_DOCS=1 to print it anew.</summary>
public sealed class RegisterTablesTests
{
    [Fact]
    public void Every_register_map_of_the_product_is_in_the_documentation()
    {
        Type[] assemblies = [typeof(PciFunction), typeof(VirtioTransport), typeof(MachineOptions), typeof(KvmSystem)];
        assemblies.SelectMany(type => type.Assembly.GetTypes())
            .SelectMany(type => type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            .Where(field => field.FieldType is { IsGenericType: true } type && type.GetGenericTypeDefinition() == typeof(RegisterMap<>))
            .Select(field => $"{field.DeclaringType!.Name}.{field.Name}")
            .Should().BeEquivalentTo(
                $"{nameof(CommonConfigurationRegisters)}.{nameof(CommonConfigurationRegisters.Map)}",
                $"{nameof(BlockDevice)}.{nameof(BlockDevice.Map)}",
                $"{nameof(NetDevice)}.{nameof(NetDevice.Map)}",
                $"{nameof(ConsoleDevice)}.{nameof(ConsoleDevice.Map)}",
                $"{nameof(BalloonDevice)}.{nameof(BalloonDevice.Map)}",
                $"{nameof(SerialPort)}.{nameof(SerialPort.Map)}",
                $"{nameof(RealTimeClock)}.{nameof(RealTimeClock.Map)}",
                $"{nameof(PowerControl)}.{nameof(PowerControl.Map)}",
                $"{nameof(ResetPort)}.{nameof(ResetPort.Map)}");
    }

    [Fact]
    public void The_documentation_shows_the_registers_as_they_are()
    {
        var text = new StringBuilder("# Register blocks\n\nPrinted from the tables and masks that decide about accesses ");
        text.Append("(VMMDEVICES_UPDATE_DOCS=1 with `RegisterTablesTests` prints it anew).\n");
        text.Append("\n## virtio-pci common configuration (virtio 1.2, 4.1.4.3)\n\n");
        text.Append(RegisterTable.ToMarkdown(CommonConfigurationRegisters.Map));
        text.Append("\n## Configuration of a virtio block device (virtio 1.2, 5.2.4)\n\n");
        text.Append(RegisterTable.ToMarkdown(BlockDevice.Map));
        text.Append("\n## Configuration of a virtio network device (virtio 1.2, 5.1.4)\n\n");
        text.Append(RegisterTable.ToMarkdown(NetDevice.Map));
        text.Append("\n## Configuration of a virtio console (virtio 1.2, 5.3.4)\n\n");
        text.Append(RegisterTable.ToMarkdown(ConsoleDevice.Map));
        text.Append("\n## Configuration of a virtio balloon (virtio 1.2, 5.5.4)\n\n");
        text.Append(RegisterTable.ToMarkdown(BalloonDevice.Map));
        text.Append("\n## Serial port at 0x3f8 (PC16550D, table 2)\n\n");
        text.Append(RegisterTable.ToMarkdown(SerialPort.Map));
        text.Append("\n## Real-time clock at 0x70 (MC146818)\n\n");
        text.Append(RegisterTable.ToMarkdown(RealTimeClock.Map));
        text.Append("\n## Power and reset at 0x600 (ACPI 6.4, 4.8)\n\n");
        text.Append(RegisterTable.ToMarkdown(PowerControl.Map));
        text.Append("\n## Keyboard controller at 0x64, of which the reset line is left\n\n");
        text.Append(RegisterTable.ToMarkdown(ResetPort.Map));
        using var rig = new TransportRig();
        rig.Function.Reset();
        text.Append("\n## Configuration space of a virtio function (PCI 3.0, 6.1; virtio 1.2, 4.1.4)\n\n");
        text.Append(
            "A block device with two queues and 24 bytes of configuration on a root bus. What is not listed reads zero and ignores writes.\n");
        text.Append("PowerState (Power Management + 0x04, bits 1:0) and Initiate FLR (PCI Express + 0x08, bit 15) act when they are written.\n\n");
        text.Append(ConfigurationSpaceTable.Registers(rig.Function));
        text.Append("\n## BARs of a virtio function\n\n");
        text.Append(ConfigurationSpaceTable.Regions(rig.Function));

        string path = Repository.PathOf("docs/registers.md");
        if (Environment.GetEnvironmentVariable("VMMDEVICES_UPDATE_DOCS") == "1")
        {
            File.WriteAllText(path, text.ToString());
        }

        File.ReadAllText(path).Should().Be(text.ToString(), "docs/registers.md is printed by this test (VMMDEVICES_UPDATE_DOCS=1)");
    }
}
