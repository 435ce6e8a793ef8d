using System;
using System.Globalization;
using Vmm.Pci.Capabilities;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Cli;

/// <summary>One line about a capability.</summary>
internal static class CapabilityPrinter
{
    /// <summary>Says what a capability is and where what it describes lies.</summary>
    public static string Of(PciCapability capability)
    {
        return capability switch
        {
            VirtioStructureCapability structure => OfStructure(structure),
            MsixCapability msix => Text(
                $"MSI-X: table in BAR {msix.TableBar} at 0x{msix.TableOffset:x}, pending bits in BAR {msix.PendingBar} at 0x{msix.PendingOffset:x}"),
            MsiCapability msi => "MSI" + (msi.Is64Bit ? ", 64-bit" : "") + (msi.HasPerVectorMasking ? ", masks" : ""),
            PowerManagementCapability power => $"power management: D0, D3hot ({(power.NoSoftReset ? "keeps its state" : "loses its state")})",
            PciExpressCapability express =>
                "PCI Express: " + OfType(express.DeviceType) + (express.HasFunctionLevelReset ? ", function-level reset" : ""),
            VendorSpecificCapability => Text($"vendor-specific, {capability.Length} bytes"),
            _ => Text($"id 0x{capability.Id:x2}, {capability.Length} bytes"),
        };
    }

    private static string OfStructure(VirtioStructureCapability structure)
    {
        string name = structure.Type switch
        {
            VirtioPciCapabilityType.CommonConfiguration => "common configuration",
            VirtioPciCapabilityType.Notification => "notifications",
            VirtioPciCapabilityType.Isr => "ISR status",
            VirtioPciCapabilityType.DeviceConfiguration => "device configuration",
            VirtioPciCapabilityType.SharedMemory => Text($"shared memory {structure.RegionId}"),
            VirtioPciCapabilityType.PciConfigurationAccess => "configuration window",
            _ => Text($"structure {(int)structure.Type}"),
        };
        return structure.StructureLength == 0
            ? $"virtio {name}"
            : Text($"virtio {name}: BAR {structure.Bar} at 0x{structure.StructureOffset:x}, {ByteCount.Of(structure.StructureLength)}");
    }

    private static string OfType(PciExpressDeviceType type)
    {
        return type switch
        {
            PciExpressDeviceType.Endpoint => "endpoint",
            PciExpressDeviceType.RootPort => "root port",
            PciExpressDeviceType.RootComplexIntegratedEndpoint => "root complex integrated endpoint",
            _ => type.ToString(),
        };
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
