using System;
using System.Globalization;
using Vmm.DeviceModel.State;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Interrupts;
using Vmm.Pci.Spec;

namespace Vmm.Pci;

/// <summary>The inspection of every PCI function: registers, BARs, interrupts and capabilities.</summary>
internal static class FunctionInspection
{
    public static void Inspect(PciFunction function, InspectionNode node)
    {
        PciIdentity identity = function.Identity;
        node.Add("name", function.Name);
        node.Add("address", function.Address.ToString());
        node.Add("class", Text($"{ClassNames.Of(identity.ClassCode)} [{identity.ClassCode >> 8:x4}]"));
        node.AddBits("vendor", identity.VendorId, 2);
        node.AddBits("device", identity.DeviceId, 2);
        node.AddBits("revision", identity.RevisionId, 1);
        if (function.Description is { } description)
        {
            node.Add("back-end", description);
        }

        node.AddBits("command", (ulong)function.Command, 2);
        node.AddBits("status", (ulong)function.Status, 2);
        node.Add("power", function.PowerState.ToString());
        node.Add("bus master", function.IsBusMaster);
        if (function.Intx.Pin != InterruptPin.None)
        {
            string wire = function.Bus is { IsRoot: true } bus
                ? Text($" on GSI {bus.InterruptRouting.GetGsi(function.Address.Device, function.Intx.Pin)}")
                : "";
            node.Add("pin", $"INT{function.Intx.Pin}{wire}");
            node.Add("pin asserted", function.Intx.IsAsserted);
        }

        node.Add("faults", function.Faults);
        foreach (PciBar bar in function.Bars)
        {
            Inspect(function, bar, node.AddPart(bar.Index == PciBar.RomIndex ? "rom" : Text($"bar{bar.Index}")));
        }

        InspectMessages(function, node);
        if (function.Capabilities.Count != 0)
        {
            InspectionNode list = node.AddPart("capabilities");
            foreach (PciCapability capability in function.Capabilities)
            {
                list.Add(Text($"0x{capability.Offset:x2}"), capability.Description);
            }
        }
    }

    private static void Inspect(PciFunction function, PciBar bar, InspectionNode node)
    {
        node.Add("kind", bar.Kind.ToString());
        node.Add("prefetchable", bar.Prefetchable);
        node.AddBits("address", function.GetBarAddress(bar.Index), 8);
        node.AddBits("size", bar.Size, 8);
        node.Add("decodes", function.GetMappedAddress(bar.Index) is not null);
        foreach (PciBarRegion region in bar.Regions)
        {
            string memory = region.Memory is null ? "" : region.ReadOnly ? ", read-only memory" : ", memory";
            node.Add(Text($"0x{region.Offset:x}"), Text($"{region.Name}, 0x{region.Length:x} bytes{memory}"));
        }
    }

    private static void InspectMessages(PciFunction function, InspectionNode node)
    {
        if (function.Msix is { } msix)
        {
            InspectionNode part = node.AddPart("msix");
            part.Add("vectors", msix.VectorCount);
            part.Add("enabled", msix.IsEnabled);
            part.Add("masked", msix.IsFunctionMasked);
            for (int i = 0; i < msix.VectorCount; i++)
            {
                Inspect(msix[i], part);
            }
        }

        if (function.Msi is { } msi)
        {
            InspectionNode part = node.AddPart("msi");
            part.Add("vectors", msi.VectorCount);
            part.Add("enabled", msi.IsEnabled);
            part.Add("messages", msi.EnabledCount);
            for (int i = 0; i < msi.VectorCount; i++)
            {
                Inspect(msi[i], part);
            }
        }
    }

    /// <summary>A vector that has been used or programmed; one as at power-on says nothing.</summary>
    private static void Inspect(MessageVector vector, InspectionNode node)
    {
        if (vector.Message == default && !vector.IsPending && vector.Sent == 0 && vector.Unaccepted == 0)
        {
            return;
        }

        InspectionNode part = node.AddPart(Text($"vector{vector.Index}"));
        part.AddBits("address", vector.Message.Address, 8);
        part.AddBits("data", vector.Message.Data, 4);
        part.Add("masked", vector.IsMasked);
        part.Add("pending", vector.IsPending);
        part.Add("sent", vector.Sent);
        part.Add("not accepted", vector.Unaccepted);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
