using System.Collections.Generic;
using System.Linq;
using Vmm.Conformance.Driving;
using Vmm.Pci.Spec;
using static Vmm.Conformance.CheckContext;
using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Pci;

/// <summary>Capability lists (PCI 3.0, 6.7; PCI Express Base, 7.9.3).</summary>
internal static class CapabilityChecks
{
    private const int ConfigurationLength = 0x100;
    private const int ExtendedLength = 0x1000;
    private const int MaximumExtended = (ExtendedLength - ConfigurationLength) / 4;

    public static CheckGroup Group { get; } = new("capability lists", "PCI 3.0")
    {
        { "PCI-CAP-POINTER", "6.7", "The capability pointer is a multiple of 4 outside the header", Pointer },
        { "PCI-CAP-END", "6.7", "The list ends with a zero pointer", End },
        { "PCI-CAP-ALIGNED", "6.7", "Each pointer is a multiple of 4 outside the header, or zero", Aligned },
        { "PCI-CAP-ID", "6.7", "Each capability has an id that is assigned, neither 0 nor 0xff", Ids },
        { "PCI-CAP-READ-ONLY", "6.7", "Ids and pointers are read-only", IdsReadOnly },
        { "PCI-CAP-OVERLAP", "6.7", "Capabilities do not overlap and end inside configuration space", Overlap },
        { "PCI-CAP-SINGLE", "6.7", "Power management, MSI, MSI-X and PCI Express occur once at most", Single },
        { "PCI-CAP-VENDOR-LENGTH", "6.7", "A vendor-specific capability says its length, which is at least 3", VendorLength },
        { "PCI-EXT-HEADER", "PCI Express Base 7.9.3", "Extended space begins with a capability header, of zeroes if there is none", ExtendedHeader, Need.ExtendedSpace },
        { "PCI-EXT-LIST", "PCI Express Base 7.9.3", "The extended list ends, in steps that are multiples of 4 inside extended space", ExtendedList, Need.ExtendedSpace },
        { "PCI-EXT-READ-ONLY", "PCI Express Base 7.9.3", "Headers of extended capabilities are read-only", ExtendedReadOnly, Need.ExtendedSpace },
    };

    private static void Pointer(CheckContext check)
    {
        uint pointer = check.Access.ReadConfiguration(Reg.CapabilitiesPointer, 1);
        check.Require(pointer == 0 || (pointer >= Reg.FirstCapability && pointer % 4 == 0), "a multiple of 4 from 0x40, or 0", Hex(pointer));
    }

    private static void End(CheckContext check)
    {
        // A function without any has an end, and no last one.
        string last = check.Facts.Capabilities is [.., var entry] ? $", the last at {Hex((uint)entry.Offset)}" : "";
        check.Require(check.Facts.CapabilitiesEnd, "a list that ends", $"{check.Facts.Capabilities.Count} entries and no end{last}");
    }

    private static void Aligned(CheckContext check)
    {
        foreach (PciCapabilityEntry entry in check.Facts.Capabilities)
        {
            check.Require(
                entry.Next == 0 || (entry.Next >= Reg.FirstCapability && entry.Next % 4 == 0),
                $"a multiple of 4 from 0x40, or 0, after the capability at {Hex((uint)entry.Offset)}",
                Hex((uint)entry.Next));
        }
    }

    private static void Ids(CheckContext check)
    {
        foreach (PciCapabilityEntry entry in check.Facts.Capabilities)
        {
            check.Require(entry.Id is not (0 or 0xff), $"an id at {Hex((uint)entry.Offset)}", Hex((uint)entry.Id));
        }
    }

    private static void IdsReadOnly(CheckContext check)
    {
        foreach (PciCapabilityEntry entry in check.Facts.Capabilities)
        {
            check.ReadOnly(entry.Offset, 2);
        }
    }

    private static void Overlap(CheckContext check)
    {
        int end = Reg.FirstCapability;
        foreach (PciCapabilityEntry entry in check.Facts.Capabilities.OrderBy(static entry => entry.Offset))
        {
            check.Require(entry.Offset >= end, $"capability {Hex((uint)entry.Id)} at {Hex((uint)end)} or above", Hex((uint)entry.Offset));
            end = entry.Offset + LengthOf(check, entry);
            check.Require(end <= ConfigurationLength, $"the end of capability {Hex((uint)entry.Id)} at 0x100 or below", Hex((uint)end));
        }
    }

    private static void Single(CheckContext check)
    {
        foreach (int id in (int[])[CapabilityIds.PowerManagement, CapabilityIds.Msi, CapabilityIds.Msix, CapabilityIds.PciExpress])
        {
            int count = check.Facts.Capabilities.Count(entry => entry.Id == id);
            check.Require(count <= 1, $"capability {Hex((uint)id)} once at most", $"{count} times");
        }
    }

    private static void VendorLength(CheckContext check)
    {
        foreach (PciCapabilityEntry entry in check.Facts.Capabilities.Where(static entry => entry.Id == CapabilityIds.VendorSpecific))
        {
            uint length = check.Access.ReadConfiguration(entry.Offset + 2, 1);
            check.Require(
                length >= 3 && entry.Offset + length <= ConfigurationLength, $"a length of at least 3 at {Hex((uint)entry.Offset)}", Hex(length));
        }
    }

    private static void ExtendedHeader(CheckContext check)
    {
        uint header = check.Access.ReadConfiguration(Reg.FirstExtendedCapability, 4);
        check.Require(header == 0 || (header & 0xffff) != 0xffff, "a capability header or zero at 0x100", Hex(header));
    }

    private static void ExtendedList(CheckContext check)
    {
        var seen = new HashSet<uint>();
        uint at = Reg.FirstExtendedCapability;
        while (at != 0)
        {
            check.Require(at >= Reg.FirstExtendedCapability && at % 4 == 0, "pointers of multiples of 4 from 0x100", Hex(at));
            check.Require(seen.Add(at) && seen.Count <= MaximumExtended, "a list that ends", $"{Hex(at)} for the second time");
            at = check.Access.ReadConfiguration((int)at, 4) >> 20;
        }
    }

    private static void ExtendedReadOnly(CheckContext check)
    {
        int steps = 0;
        for (int at = Reg.FirstExtendedCapability; at >= Reg.FirstExtendedCapability && steps < MaximumExtended; steps++)
        {
            check.ReadOnly(at, 4);
            at = (int)(check.Access.ReadConfiguration(at, 4) >> 20) & ~3;
        }
    }

    /// <summary>The length of a capability as far as it is known; 2, its header, otherwise.</summary>
    private static int LengthOf(CheckContext check, PciCapabilityEntry entry)
    {
        uint control = check.Access.ReadConfiguration(entry.Offset + 2, 2);
        return entry.Id switch
        {
            CapabilityIds.PowerManagement => 8,
            CapabilityIds.Msi => 10 + ((control & 0x80) != 0 ? 4 : 0) + ((control & 0x100) != 0 ? 10 : 0),
            CapabilityIds.VendorSpecific => (int)(control & 0xff),
            CapabilityIds.PciExpress => (control & 0xf) >= 2 ? 0x3c : 0x14,
            CapabilityIds.Msix => 12,
            _ => 2,
        };
    }
}
