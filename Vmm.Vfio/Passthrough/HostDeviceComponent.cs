using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Vmm.DeviceModel.State;
using Vmm.Pci.Access;

namespace Vmm.Vfio.Passthrough;

/// <summary>The device of the host behind a passed function, as it is there: shown next to what the guest sees of it.</summary>
internal sealed class HostDeviceComponent(PassthroughFunction function) : IComponent
{
    public string Name => "host";

    public void Inspect(InspectionNode node)
    {
        DeviceLayout layout = function.Layout;
        node.Add("device", function.DeviceName);
        if (function.PhysicalFunction is { } physical)
        {
            node.Add("virtual function of", physical);
        }

        node.Add("interrupts", function.InterruptMode.ToString());
        node.Add("signalling vectors", function.SignallingVectors);
        node.Add("failed reads", function.FailedReads);
        node.Add("failed writes", function.FailedWrites);
        node.Add("failed interrupts", function.FailedInterrupts);
        node.Add("failed resets", function.FailedResets);
        node.Add("peer mappings", function.PeerMappingCount);
        foreach ((int index, string remark) in layout.Remarks.Index())
        {
            node.Add(Text($"remark{index}"), remark);
        }

        for (int i = 0; i < function.Bars.Count; i++)
        {
            int index = function.Bars[i].Index;
            BackendRegion region = layout.Bars.First(candidate => candidate.Index == index).Region;
            InspectionNode part = node.AddPart(Text($"region{index}"));
            part.AddBits("size", region.Size, 8);
            IEnumerable<string> areas = region.MappableAreas.Select(static area => Text($"0x{area.Offset:x} to 0x{area.Offset + area.Length - 1:x}"));
            part.Add("mappable", string.Join(", ", areas));
            part.AddBits("reached without an exit", function.BarPlans[i].MappedLength, 8);
        }

        InspectCapabilities(layout, node.AddPart("capabilities"));
    }

    private static void InspectCapabilities(DeviceLayout layout, InspectionNode node)
    {
        foreach (DeviceCapability capability in layout.Capabilities)
        {
            node.Add(Text($"0x{capability.Offset:x2}"), Text($"id 0x{capability.Id:x2}"));
        }

        foreach (DeviceCapability capability in layout.ExtendedCapabilities)
        {
            node.Add(Text($"0x{capability.Offset:x3}"), Text($"extended id 0x{capability.Id:x4}"));
        }

        foreach (DeviceCapability capability in layout.Hidden)
        {
            node.Add(Text($"0x{capability.Offset:x2}"), Text($"id 0x{capability.Id:x2}, hidden from the guest"));
        }
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
