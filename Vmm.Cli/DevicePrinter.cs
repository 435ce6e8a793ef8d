using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Host;
using Vmm.Pci.Interrupts;
using Vmm.Vfio.Passthrough;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Cli;

/// <summary>
/// Draws the PCI bus of a machine as a tree: functions in bus order, and of each its back-end, features, queues, BARs and capabilities.
/// </summary>
internal sealed class DevicePrinter(MachinePreview machine, DeviceCatalogue catalogue)
{
    /// <summary>Draws it.</summary>
    public void Print(TextWriter output)
    {
        PciHostBridge bridge = machine.HostBridge;
        var root = new TreeNode(Text($"pci 0000, configuration memory at 0x{bridge.EcamBase:x} for {bridge.BusCount} buses"));
        foreach (PciWindow window in bridge.Root.Windows)
        {
            string kind = window.Kind == AddressSpaceKind.Port ? "ports" : "memory";
            root.Add(Text($"window {kind} 0x{window.Base:x} to 0x{window.Last:x}, {ByteCount.Of(window.Last - window.Base + 1)}"));
        }

        AddBus(root, bridge.Root);
        root.Write(output);
    }

    private void AddBus(TreeNode node, PciBus bus)
    {
        foreach (PciFunction function in bus.Functions.OrderBy(function => function.Address))
        {
            AddFunction(node, function);
        }
    }

    private void AddFunction(TreeNode parent, PciFunction function)
    {
        PciIdentity identity = function.Identity;
        TreeNode node = parent.Add(
            Text($"{function.Address} {function.Name}: {PciClassNames.Of(identity.ClassCode)} [{identity.ClassCode >> 8:x4}], ")
            + Text($"{identity.VendorId:x4}:{identity.DeviceId:x4} rev {identity.RevisionId:x2}"));
        if (function is VirtioPciFunction virtio)
        {
            AddDevice(node, virtio);
        }
        else if (function is PassthroughFunction host)
        {
            node.Add(HostDevicePrinter.Of(host));
        }

        AddInterrupts(node, function);
        foreach (PciBar bar in function.Bars)
        {
            AddBar(node, function, bar);
        }

        if (function is PassthroughFunction passed)
        {
            HostDevicePrinter.AddCapabilities(node, passed);
        }
        else if (function.Capabilities.Count != 0)
        {
            TreeNode list = node.Add("capabilities");
            foreach (var capability in function.Capabilities)
            {
                list.Add(Text($"0x{capability.Offset:x2} {CapabilityPrinter.Of(capability)}"));
            }
        }

        if (function is PciBridge below)
        {
            AddBus(node.Add(Text($"bus {below.SecondaryBusNumber:x2}")), below.Secondary);
        }
    }

    private void AddDevice(TreeNode node, VirtioPciFunction function)
    {
        string type = function.Device.DeviceType.ToString().ToLowerInvariant();
        node.Add(Text($"virtio {type}{(BackendOf(function) is { } backend ? $" on {backend}" : "")}"));
        node.Add("features " + string.Join(' ', FeatureNames.Of(function.Device.DeviceType, function.OfferedFeatures)));
        node.Add("queues " + string.Join(", ", Runs(function.Device.QueueSizes)));
    }

    private static void AddInterrupts(TreeNode node, PciFunction function)
    {
        var ways = new List<string>();
        if (function.Msix is { } msix)
        {
            ways.Add(Text($"MSI-X {msix.VectorCount} {(msix.VectorCount == 1 ? "vector" : "vectors")}"));
        }

        if (function.Msi is { } msi)
        {
            ways.Add(Text($"MSI {msi.VectorCount} {(msi.VectorCount == 1 ? "vector" : "vectors")}"));
        }

        if (function.Intx.Pin != InterruptPin.None)
        {
            string wire = function.Bus is { IsRoot: true } bus
                ? Text($" on GSI {bus.InterruptRouting.GetGsi(function.Address.Device, function.Intx.Pin)}")
                : "";
            ways.Add($"INT{function.Intx.Pin}{wire}");
        }

        if (ways.Count != 0)
        {
            node.Add("interrupts " + string.Join(", ", ways));
        }
    }

    private static void AddBar(TreeNode parent, PciFunction function, PciBar bar)
    {
        string kind = bar.Kind switch
        {
            PciBarKind.Io => "I/O ports",
            PciBarKind.Memory32 => "32-bit memory",
            PciBarKind.Memory64 => "64-bit memory",
            _ => "expansion ROM",
        };
        string name = bar.Index == PciBar.RomIndex ? "ROM" : Text($"BAR {bar.Index}");
        TreeNode node = parent.Add(Text(
            $"{name} {kind}{(bar.Prefetchable ? ", prefetchable" : "")}, {ByteCount.Of(bar.Size)} at 0x{function.GetBarAddress(bar.Index):x}"));
        if (function is PassthroughFunction host)
        {
            node.Add(HostDevicePrinter.OfRegion(host, bar));
        }

        int width = (bar.Size - 1).ToString("x", CultureInfo.InvariantCulture).Length;
        foreach (PciBarRegion region in bar.Regions)
        {
            string offset = region.Offset.ToString("x", CultureInfo.InvariantCulture).PadLeft(width, '0');
            node.Add(
                Text($"0x{offset} {region.Name}, {ByteCount.Of(region.Length)}")
                + (region.Memory is null ? "" : region.ReadOnly ? ", read-only memory" : ", memory"));
        }
    }

    private string? BackendOf(PciFunction function)
    {
        return machine.Devices.FirstOrDefault(device => device.Function == function) is { Options: var options }
            ? catalogue.KindOf(options).Describe(options)
            : null;
    }

    /// <summary>Queues of one size after another in one word: <c>0 to 7: 256</c>.</summary>
    private static IEnumerable<string> Runs(IReadOnlyList<ushort> sizes)
    {
        for (int first = 0, next; first < sizes.Count; first = next)
        {
            for (next = first + 1; next < sizes.Count && sizes[next] == sizes[first]; next++)
            {
            }

            yield return next - first == 1 ? Text($"{first}: {sizes[first]}") : Text($"{first} to {next - 1}: {sizes[first]}");
        }
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
