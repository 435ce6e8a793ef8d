using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using Vmm.Conformance.Driving;
using Vmm.Pci.Spec;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Spec;
using static Vmm.Conformance.CheckContext;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;
using Type = Vmm.Virtio.Spec.VirtioPciCapabilityType;

namespace Vmm.Conformance.Transport;

/// <summary>The capabilities that say where the structures are (virtio 1.2, 4.1.4).</summary>
internal static class StructureChecks
{
    private const Type VendorData = (Type)9;

    public static CheckGroup Group { get; } = new("virtio structure capabilities", "virtio 1.2")
    {
        { "VTP-CAP-COMMON", "4.1.4.3.1", "There is a common configuration, 4-byte aligned and long enough for its fields", Common },
        { "VTP-CAP-NOTIFY", "4.1.4.4.1", "There is a notification structure, 2-byte aligned, with a capability of 20 bytes at least", Notify },
        { "VTP-CAP-NOTIFY-MULTIPLIER", "4.1.4.4.1", "The notify multiplier is 0 or an even power of two", Multiplier },
        { "VTP-CAP-NOTIFY-DATA", "4.1.4.4.1", "With NOTIFICATION_DATA offered, offset and multiplier of notifications are multiples of 4", NotifyData, Need.Virtio, TransportFeatures.NotificationData },
        { "VTP-CAP-NOTIFY-LENGTH", "4.1.4.4.1", "The notification structure is long enough for the address of every queue", NotifyLength, Need.Virtio },
        { "VTP-CAP-ISR", "4.1.4.5.1", "There is an ISR structure of a byte at least", Isr },
        { "VTP-CAP-DEVICE", "4.1.4.6.1", "A device type with configuration has a structure for it, 4-byte aligned", Device },
        { "VTP-CAP-WINDOW", "4.1.4.9.1", "There is a window in configuration space, of 20 bytes at least", Window },
        { "VTP-CAP-LENGTH", "4.1.4.2", "The length of a capability covers the whole of it", Length },
        { "VTP-CAP-BAR", "4.1.4", "Structures are in BARs 0 to 5 that there are", Bar },
        { "VTP-CAP-INSIDE", "4.1.4", "Structures lie inside their BARs", Inside },
        { "VTP-CAP-READ-ONLY", "4.1.4", "Capabilities other than the window are read-only", CapabilitiesReadOnly },
        { "VTP-CAP-SHARED-INSIDE", "4.1.4.7.1", "Shared memory regions lie inside their BARs, by a capability of 24 bytes at least", SharedInside, Need.SharedMemory },
        { "VTP-CAP-SHARED-ID", "4.1.4.7.1", "No two shared memory regions have the same id", SharedId, Need.SharedMemory },
        { "VTP-CAP-VENDOR-DATA", "4.1.4.8.1", "Vendor data has a vendor other than virtio's, and a length that is a multiple of 4", Vendor, Need.VendorData },
    };

    private static void Common(CheckContext check)
    {
        PciCapabilityEntry at = First(check, Type.CommonConfiguration, "common configuration");
        check.Require(Dword(check, at, 8) % 4 == 0, "the common configuration at a multiple of 4", Hex(Dword(check, at, 8)));
        ulong least = 0x38;
        if (check.HasVirtio && (new RawDriver(check).OfferedFeatures & (TransportFeatures.RingReset | (1UL << 39))) != 0)
        {
            least = Offset.QueueReset + 2;
        }

        check.Require(Dword(check, at, 12) >= least, $"a common configuration of at least {Hex(least)} bytes", Hex(Dword(check, at, 12)));
    }

    private static void Notify(CheckContext check)
    {
        PciCapabilityEntry at = First(check, Type.Notification, "notification structure");
        check.Require(
            CapLength(check, at) >= VirtioPciIds.NotificationCapabilityLength, "a notification capability of at least 20 bytes",
            $"{CapLength(check, at)}");
        check.Require(Dword(check, at, 8) % 2 == 0, "the notification structure at a multiple of 2", Hex(Dword(check, at, 8)));
        check.Require(Dword(check, at, 12) >= 2, "a notification structure of at least 2 bytes", Hex(Dword(check, at, 12)));
    }

    private static void Multiplier(CheckContext check)
    {
        uint multiplier = Dword(check, First(check, Type.Notification, "notification structure"), 16);
        check.Require(
            multiplier == 0 || (BitOperations.IsPow2(multiplier) && multiplier >= 2), "a multiplier of 0 or an even power of two", Hex(multiplier));
    }

    private static void NotifyData(CheckContext check)
    {
        PciCapabilityEntry at = First(check, Type.Notification, "notification structure");
        uint multiplier = Dword(check, at, 16);
        check.Require(
            multiplier == 0 || (BitOperations.IsPow2(multiplier) && multiplier >= 4), "a multiplier of 0 or a power of two from 4", Hex(multiplier));
        check.Require(Dword(check, at, 8) % 4 == 0, "the notification structure at a multiple of 4", Hex(Dword(check, at, 8)));
    }

    private static void NotifyLength(CheckContext check)
    {
        var driver = new RawDriver(check);
        PciCapabilityEntry at = First(check, Type.Notification, "notification structure");
        ulong width = (driver.OfferedFeatures & TransportFeatures.NotificationData) != 0 ? 4UL : 2;
        ulong length = Dword(check, at, 12);
        for (int i = 0; i < driver.QueueCount; i++)
        {
            driver.Select(i);
            if (driver.Get(Offset.QueueSize, 2) != 0)
            {
                ulong end = (driver.Get(Offset.QueueNotifyOff, 2) * Dword(check, at, 16)) + width;
                check.Require(end <= length, $"the notify address of queue {i} inside {Hex(length)} bytes", $"its end at {Hex(end)}");
            }
        }
    }

    private static void Isr(CheckContext check)
    {
        PciCapabilityEntry at = First(check, Type.Isr, "ISR structure");
        check.Require(Dword(check, at, 12) >= 1, "an ISR structure of at least 1 byte", Hex(Dword(check, at, 12)));
    }

    private static void Device(CheckContext check)
    {
        if (check.DeviceType is not ((int)VirtioDeviceType.Net or (int)VirtioDeviceType.Block or (int)VirtioDeviceType.Console)
            && !check.Facts.FindVirtio(check.Access, Type.DeviceConfiguration).Any())
        {
            check.Skip("the device type has no configuration that is known");
        }

        PciCapabilityEntry at = First(check, Type.DeviceConfiguration, "device configuration");
        check.Require(Dword(check, at, 8) % 4 == 0, "the device configuration at a multiple of 4", Hex(Dword(check, at, 8)));
    }

    private static void Window(CheckContext check)
    {
        PciCapabilityEntry at = First(check, Type.PciConfigurationAccess, "PCI configuration access capability");
        check.Require(
            CapLength(check, at) >= VirtioPciIds.PciConfigurationAccessCapabilityLength, "a window capability of at least 20 bytes",
            $"{CapLength(check, at)}");
    }

    private static void Length(CheckContext check)
    {
        foreach (PciCapabilityEntry at in All(check).Where(at => TypeOf(check, at) != VendorData))
        {
            check.Require(
                CapLength(check, at) >= VirtioPciIds.CapabilityLength, $"a length of at least 16 of the capability at {Hex((uint)at.Offset)}",
                $"{CapLength(check, at)}");
        }
    }

    private static void Bar(CheckContext check)
    {
        foreach (PciCapabilityEntry at in Located(check))
        {
            uint bar = BarOf(check, at);
            check.Require(
                bar <= 5 && check.Facts.Bars.Any(b => b.Index == bar), $"a BAR that there is for the {TypeOf(check, at)} structure", $"BAR {bar}");
        }
    }

    private static void Inside(CheckContext check)
    {
        foreach (PciCapabilityEntry at in Located(check))
        {
            ulong length = BarOf(check, at) <= 5 ? check.Access.GetBarLength((int)BarOf(check, at)) : 0;
            ulong end = (ulong)Dword(check, at, 8) + Dword(check, at, 12);
            check.Require(end <= length, $"the {TypeOf(check, at)} structure inside {Hex(length)} bytes", $"its end at {Hex(end)}");
        }
    }

    private static void CapabilitiesReadOnly(CheckContext check)
    {
        foreach (PciCapabilityEntry at in All(check).Where(at => TypeOf(check, at) is not (Type.PciConfigurationAccess or VendorData)))
        {
            for (int i = 0; i + 4 <= CapLength(check, at); i += 4)
            {
                check.ReadOnly(at.Offset + i, 4);
            }
        }
    }

    private static void SharedInside(CheckContext check)
    {
        foreach (PciCapabilityEntry at in check.Facts.FindVirtio(check.Access, Type.SharedMemory))
        {
            check.Require(CapLength(check, at) >= 24, "a shared memory capability of at least 24 bytes", $"{CapLength(check, at)}");
            ulong offset = Dword(check, at, 8) | ((ulong)Dword(check, at, 16) << 32);
            ulong length = Dword(check, at, 12) | ((ulong)Dword(check, at, 20) << 32);
            ulong bar = BarOf(check, at) <= 5 ? check.Access.GetBarLength((int)BarOf(check, at)) : 0;
            check.Require(offset <= bar && length <= bar - offset, $"a region inside {Hex(bar)} bytes", $"{Hex(length)} bytes at {Hex(offset)}");
        }
    }

    private static void SharedId(CheckContext check)
    {
        var seen = new HashSet<uint>();
        foreach (PciCapabilityEntry at in check.Facts.FindVirtio(check.Access, Type.SharedMemory))
        {
            uint id = check.Access.ReadConfiguration(at.Offset + 5, 1);
            check.Require(seen.Add(id), "ids that differ", $"{Hex(id)} for the second time");
        }
    }

    private static void Vendor(CheckContext check)
    {
        foreach (PciCapabilityEntry at in check.Facts.FindVirtio(check.Access, VendorData))
        {
            uint vendor = check.Access.ReadConfiguration(at.Offset + 4, 2);
            check.Require(vendor != VirtioPciIds.Vendor, "a vendor other than 0x1af4", Hex(vendor));
            check.Require(CapLength(check, at) % 4 == 0, "a length that is a multiple of 4", $"{CapLength(check, at)}");
        }
    }

    private static PciCapabilityEntry First(CheckContext check, Type type, string what)
    {
        PciCapabilityEntry entry = check.Facts.FindVirtio(check.Access, type).FirstOrDefault();
        check.Require(entry.Offset != 0, $"a capability of the {what}", "none");
        return entry;
    }

    private static IEnumerable<PciCapabilityEntry> All(CheckContext check) =>
        check.Facts.Capabilities.Where(static entry => entry.Id == CapabilityIds.VendorSpecific);

    private static IEnumerable<PciCapabilityEntry> Located(CheckContext check) =>
        All(check).Where(at => TypeOf(check, at) is Type.CommonConfiguration or Type.Notification or Type.Isr or Type.DeviceConfiguration);

    private static Type TypeOf(CheckContext check, PciCapabilityEntry at) => (Type)check.Access.ReadConfiguration(at.Offset + 3, 1);

    private static int CapLength(CheckContext check, PciCapabilityEntry at) => (int)check.Access.ReadConfiguration(at.Offset + 2, 1);

    private static uint BarOf(CheckContext check, PciCapabilityEntry at) => check.Access.ReadConfiguration(at.Offset + 4, 1);

    private static uint Dword(CheckContext check, PciCapabilityEntry at, int offset) => check.Access.ReadConfiguration(at.Offset + offset, 4);
}
