using System.Collections.Generic;
using System.Globalization;
using Vmm.Pci.Spec;
using Registers = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Pci.ConfigSpace;

/// <summary>Names of the registers in configuration space, as the specifications have them, for traces.</summary>
internal static class ConfigurationNames
{
    private static readonly (int Offset, int Width, string Name)[] Common =
    [
        (Registers.VendorId, 2, "vendor_id"), (Registers.DeviceId, 2, "device_id"), (Registers.Command, 2, "command"), (Registers.Status, 2, "status"),
        (Registers.RevisionId, 1, "revision_id"), (Registers.RevisionId + 1, 3, "class_code"), (Registers.CacheLineSize, 1, "cache_line_size"),
        (Registers.LatencyTimer, 1, "latency_timer"), (Registers.HeaderType, 1, "header_type"), (Registers.HeaderType + 1, 1, "bist"),
        (Registers.CapabilitiesPointer, 1, "capabilities_pointer"), (Registers.InterruptLine, 1, "interrupt_line"),
        (Registers.InterruptPin, 1, "interrupt_pin"),
    ];

    private static readonly (int Offset, int Width, string Name)[] Type0 =
    [
        (Registers.Bar0, 4, "bar0"), (Registers.Bar0 + 4, 4, "bar1"), (Registers.Bar0 + 8, 4, "bar2"), (Registers.Bar0 + 12, 4, "bar3"),
        (Registers.Bar0 + 16, 4, "bar4"), (Registers.Bar0 + 20, 4, "bar5"), (0x28, 4, "cardbus_cis"),
        (Registers.SubsystemVendorId, 2, "subsystem_vendor_id"), (Registers.SubsystemId, 2, "subsystem_id"),
        (Registers.ExpansionRom, 4, "expansion_rom"), (0x3e, 1, "min_gnt"), (0x3f, 1, "max_lat"),
    ];

    private static readonly (int Offset, int Width, string Name)[] Type1 =
    [
        (Registers.Bar0, 4, "bar0"), (Registers.Bar0 + 4, 4, "bar1"), (Registers.PrimaryBus, 1, "primary_bus"),
        (Registers.SecondaryBus, 1, "secondary_bus"), (Registers.SubordinateBus, 1, "subordinate_bus"), (0x1b, 1, "secondary_latency_timer"),
        (Registers.IoBase, 1, "io_base"), (Registers.IoLimit, 1, "io_limit"), (Registers.SecondaryStatus, 2, "secondary_status"),
        (Registers.MemoryBase, 2, "memory_base"), (Registers.MemoryLimit, 2, "memory_limit"), (Registers.PrefetchableBase, 2, "prefetchable_base"),
        (Registers.PrefetchableLimit, 2, "prefetchable_limit"), (Registers.PrefetchableBaseUpper, 4, "prefetchable_base_upper"),
        (Registers.PrefetchableLimitUpper, 4, "prefetchable_limit_upper"), (0x30, 2, "io_base_upper"), (0x32, 2, "io_limit_upper"),
        (0x38, 4, "expansion_rom"), (Registers.BridgeControl, 2, "bridge_control"),
    ];

    private static readonly Dictionary<int, (string Name, (int Offset, int Width, string Name)[] Fields)> Capabilities = new()
    {
        [CapabilityIds.PowerManagement] = ("pm", [(2, 2, "pmc"), (4, 2, "pmcsr")]),
        [CapabilityIds.Msi] = ("msi", [(2, 2, "message_control"), (4, 4, "message_address")]),
        [CapabilityIds.VendorSpecific] = ("vendor", [(2, 1, "length")]),
        [CapabilityIds.Msix] = ("msix", [(2, 2, "message_control"), (4, 4, "table"), (8, 4, "pending_bit_array")]),
        [CapabilityIds.PciExpress] = ("express",
        [
            (0x02, 2, "capabilities"), (0x04, 4, "device_capabilities"), (0x08, 2, "device_control"), (0x0a, 2, "device_status"),
            (0x0c, 4, "link_capabilities"), (0x10, 2, "link_control"), (0x12, 2, "link_status"), (0x14, 4, "slot_capabilities"),
            (0x18, 2, "slot_control"), (0x1a, 2, "slot_status"), (0x1c, 2, "root_control"), (0x1e, 2, "root_capabilities"), (0x20, 4, "root_status"),
            (0x24, 4, "device_capabilities_2"), (0x28, 2, "device_control_2"), (0x2a, 2, "device_status_2"), (0x2c, 4, "link_capabilities_2"),
            (0x30, 2, "link_control_2"), (0x32, 2, "link_status_2"),
        ]),
    };

    /// <summary>The name of a byte of the header, or null for one that has none.</summary>
    /// <param name="offset">Offset in configuration space, below 0x40.</param>
    /// <param name="isBridge">True for a type-1 header.</param>
    public static string? OfHeader(int offset, bool isBridge) => Find(Common, offset) ?? Find(isBridge ? Type1 : Type0, offset);

    /// <summary>The name of a byte of a capability of the standard list: <c>msix.message_control+1</c>.</summary>
    /// <param name="id">Capability ID.</param>
    /// <param name="place">Where the capability lies, which tells those of a kind apart of which there may be several.</param>
    /// <param name="offset">Offset in the capability.</param>
    public static string OfCapability(int id, int place, int offset)
    {
        bool known = Capabilities.TryGetValue(id, out (string Name, (int, int, string)[] Fields) capability);
        string name = known && id != CapabilityIds.VendorSpecific
            ? capability.Name
            : string.Create(CultureInfo.InvariantCulture, $"{(known ? capability.Name : $"capability{id:x2}")}[0x{place:x}]");
        string? field = offset switch
        {
            0 => "id",
            1 => "next",
            _ => known ? Find(capability.Fields, offset) : null,
        };
        return field is not null ? $"{name}.{field}" : string.Create(CultureInfo.InvariantCulture, $"{name}+0x{offset:x}");
    }

    private static string? Find((int Offset, int Width, string Name)[] registers, int offset)
    {
        foreach ((int start, int width, string name) in registers)
        {
            if (offset >= start && offset < start + width)
            {
                return offset == start ? name : string.Create(CultureInfo.InvariantCulture, $"{name}+{offset - start}");
            }
        }

        return null;
    }
}
