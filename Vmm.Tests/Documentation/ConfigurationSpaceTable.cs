using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Documentation;

/// <summary>Prints the layout of a function's configuration space and BARs from the masks that decide about writes.</summary>
internal static class ConfigurationSpaceTable
{
    private static readonly (int Offset, string Names)[] Header =
    [
        (ConfigurationRegisters.VendorId, "Vendor ID, Device ID"),
        (ConfigurationRegisters.Command, "Command, Status"),
        (ConfigurationRegisters.RevisionId, "Revision ID, Class Code"),
        (ConfigurationRegisters.CacheLineSize, "Cache Line Size, Latency Timer, Header Type, BIST"),
        (ConfigurationRegisters.Bar0, "BAR 0"),
        (ConfigurationRegisters.Bar0 + 4, "BAR 0, upper half"),
        (ConfigurationRegisters.Bar0 + 8, "BAR 2"),
        (ConfigurationRegisters.Bar0 + 12, "BAR 2, upper half"),
        (ConfigurationRegisters.Bar0 + 16, "BAR 4"),
        (ConfigurationRegisters.Bar0 + 20, "BAR 5"),
        (ConfigurationRegisters.Bar0 + 24, "CardBus CIS Pointer"),
        (ConfigurationRegisters.SubsystemVendorId, "Subsystem Vendor ID, Subsystem ID"),
        (ConfigurationRegisters.ExpansionRom, "Expansion ROM"),
        (ConfigurationRegisters.CapabilitiesPointer, "Capabilities Pointer"),
        (ConfigurationRegisters.CapabilitiesPointer + 4, "reserved"),
        (ConfigurationRegisters.InterruptLine, "Interrupt Line, Interrupt Pin, Min_Gnt, Max_Lat"),
    ];

    /// <summary>A Markdown table with one row a 32-bit register, up to the end of the capabilities.</summary>
    public static string Registers(PciFunction function)
    {
        var text = new StringBuilder("| offset | at power-on | writable | write 1 to clear | register |\n|---|---|---|---|---|\n");
        foreach ((int offset, string names) in Header.Concat(function.Capabilities.SelectMany(RowsOf)))
        {
            PciConfigurationSpace space = function.ConfigurationSpace;
            text.Append(
                CultureInfo.InvariantCulture,
                $"| 0x{offset:x2} | {space.ReadRegister(offset):x8} | {Mask(space.WritableBits(offset))} | "
                + $"{Mask(space.WriteOneToClearBits(offset))} | {names} |\n");
        }

        return text.ToString();
    }

    /// <summary>A Markdown table with one row a region of a BAR.</summary>
    public static string Regions(PciFunction function)
    {
        var text = new StringBuilder("| BAR | offset | bytes | region |\n|---|---|---|---|\n");
        foreach (PciBar bar in function.Bars)
        {
            foreach (PciBarRegion region in bar.Regions)
            {
                text.Append(CultureInfo.InvariantCulture, $"| {bar.Index} | 0x{region.Offset:x4} | {region.Length} | {region.Name} |\n");
            }
        }

        return text.ToString();
    }

    private static IEnumerable<(int Offset, string Names)> RowsOf(PciCapability capability)
    {
        string name = capability switch
        {
            VirtioStructureCapability structure => $"virtio {structure.Type}",
            MsixCapability => "MSI-X",
            PowerManagementCapability => "Power Management",
            PciExpressCapability => "PCI Express",
            _ => throw new ArgumentException($"a capability without a name here: {capability.GetType().Name}", nameof(capability)),
        };
        for (int at = 0; at < capability.Length; at += 4)
        {
            yield return (capability.Offset + at, at == 0 ? $"**{name}**" : string.Create(CultureInfo.InvariantCulture, $"{name} + 0x{at:x2}"));
        }
    }

    private static string Mask(uint bits) => bits == 0 ? "" : bits.ToString("x8", CultureInfo.InvariantCulture);
}
