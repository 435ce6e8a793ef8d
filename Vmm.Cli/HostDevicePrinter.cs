using System;
using System.Globalization;
using System.Linq;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Vfio.Passthrough;

namespace Vmm.Cli;

/// <summary>What a device of the host is there, next to what the guest sees of it.</summary>
internal static class HostDevicePrinter
{
    /// <summary>The device.</summary>
    public static string Of(PassthroughFunction function)
    {
        return $"device {function.DeviceName} of the host{(function.PhysicalFunction is { } physical ? $", a virtual function of {physical}" : "")}";
    }

    /// <summary>What the host has of a BAR: how big it is, and what of it can be mapped.</summary>
    public static string OfRegion(PassthroughFunction function, PciBar bar)
    {
        var region = function.Layout.Bars.First(candidate => candidate.Index == bar.Index).Region;
        int index = function.Bars.ToList().IndexOf(bar);
        string mappable = region.MappableAreas.Count == 0
            ? "nothing can be mapped"
            : "mappable " + string.Join(", ", region.MappableAreas.Select(area => Text($"0x{area.Offset:x} to 0x{area.Offset + area.Length - 1:x}")));
        return Text($"host: {ByteCount.Of(region.Size)}, {mappable}; ")
            + Text($"the guest reaches {ByteCount.Of(function.BarPlans[index].MappedLength)} without an exit");
    }

    /// <summary>The capabilities that the guest sees, those that are more than the device's bytes, and what it does not see.</summary>
    public static void AddCapabilities(TreeNode node, PassthroughFunction function)
    {
        var layout = function.Layout;
        TreeNode list = node.Add("capabilities");
        foreach (var entry in layout.Capabilities)
        {
            PciCapability? emulated = function.Capabilities.FirstOrDefault(capability => capability.Offset == entry.Offset);
            list.Add(Text($"0x{entry.Offset:x2} {Describe(entry.Id, emulated)}"));
        }

        foreach (var added in function.Capabilities.Where(capability => layout.Capabilities.All(entry => entry.Offset != capability.Offset)))
        {
            list.Add(Text($"0x{added.Offset:x2} {CapabilityPrinter.Of(added)}, added"));
        }

        foreach (var entry in layout.ExtendedCapabilities)
        {
            list.Add(Text($"0x{entry.Offset:x3} extended id 0x{entry.Id:x4}, the device's"));
        }

        foreach (var hidden in layout.Hidden)
        {
            list.Add(Text($"0x{hidden.Offset:x2} id 0x{hidden.Id:x2}, hidden from the guest"));
        }

        foreach (string remark in layout.Remarks)
        {
            node.Add($"remark: {remark}");
        }
    }

    private static string Describe(int id, PciCapability? emulated)
    {
        const int Express = 0x10;
        return emulated switch
        {
            MsixCapability or MsiCapability or PowerManagementCapability => CapabilityPrinter.Of(emulated) + ", emulated",
            not null when id == Express => "PCI Express, the device's; type, link and reset are emulated",
            not null => Text($"id 0x{id:x2}, the device's; its reset is emulated"),
            _ => Text($"id 0x{id:x2}, the device's"),
        };
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
