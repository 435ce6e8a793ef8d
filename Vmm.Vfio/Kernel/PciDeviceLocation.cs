using System;
using System.Globalization;
using Vmm.DeviceModel.Interop;
using Vmm.Pci.Access;
using Vmm.Vfio.Interop;

namespace Vmm.Vfio.Kernel;

/// <summary>What sysfs says of a PCI device that is to be taken.</summary>
/// <param name="Path">Its directory in sysfs.</param>
/// <param name="Name">Its address, as sysfs writes it.</param>
/// <param name="Group">Its IOMMU group.</param>
/// <param name="Identity">What the host knows of it; null if sysfs does not say.</param>
/// <param name="Node">Its own node, where the kernel makes one (Linux 6.6); else null.</param>
internal sealed record PciDeviceLocation(string Path, string Name, int Group, HostIdentity? Identity, string? Node)
{
    private const string Step = "looking the device up";

    /// <summary>Looks a device up and checks that VFIO has it.</summary>
    /// <param name="calls">The kernel.</param>
    /// <param name="path">A directory in sysfs, for example <c>/sys/bus/pci/devices/0000:00:10.0</c>.</param>
    /// <exception cref="VfioException">Not there, not a PCI device, without an IOMMU, not VFIO's: the message says what to do.</exception>
    public static PciDeviceLocation Find(IVfioCalls calls, string path)
    {
        // The root keeps its name, to be named as what it is not.
        path = path.TrimEnd('/') is { Length: > 0 } folder ? folder : path;
        if (!calls.Exists(path))
        {
            throw new VfioException(
                Step, path, Errno.ENOENT, "there is no such device; lspci -D names those that there are, as /sys/bus/pci/devices/ADDRESS");
        }

        if (calls.ReadLinkName($"{path}/subsystem") != "pci")
        {
            throw new VfioException(Step, path, 0, "not a PCI device; want /sys/bus/pci/devices/ADDRESS");
        }

        string name = calls.ReadLinkName(path) ?? path[(path.LastIndexOf('/') + 1)..];

        // Before the driver: without an IOMMU vfio-pci takes no device.
        if (!int.TryParse(calls.ReadLinkName($"{path}/iommu_group"), NumberStyles.None, CultureInfo.InvariantCulture, out int group))
        {
            throw new VfioException(
                Step, path, 0,
                "the device is behind no IOMMU: enable it in the firmware (VT-d, AMD-Vi) "
                + "and, of Intel's, on the kernel's command line (intel_iommu=on)");
        }

        string? driver = calls.ReadLinkName($"{path}/driver");
        if (driver is null || !IsVfio(calls, path, driver))
        {
            throw new VfioException(Step, path, 0, DescribeBinding(name, driver));
        }

        string? node = calls.List($"{path}/vfio-dev") is [var own, ..] ? $"/dev/vfio/devices/{own}" : null;
        return new PciDeviceLocation(path, name, group, ReadIdentity(calls, path), node is not null && calls.Exists(node) ? node : null);
    }

    /// <summary>Whether a device has a driver that gives it to VFIO: vfio-pci, or one that is made for its kind.</summary>
    public static bool IsVfio(IVfioCalls calls, string path, string driver)
    {
        return string.Equals(driver, "vfio-pci", StringComparison.Ordinal) || calls.List($"{path}/vfio-dev").Count > 0;
    }

    private static HostIdentity? ReadIdentity(IVfioCalls calls, string path)
    {
        return TryReadId(calls, $"{path}/vendor", out ushort vendor) && TryReadId(calls, $"{path}/device", out ushort device)
            ? new HostIdentity(vendor, device, calls.ReadLinkName($"{path}/physfn"))
            : null;
    }

    private static bool TryReadId(IVfioCalls calls, string path, out ushort id)
    {
        string text = calls.ReadText(path) ?? "";
        id = 0;
        return text.StartsWith("0x", StringComparison.Ordinal)
            && ushort.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out id);
    }

    /// <summary>By the path that stays: one below a driver goes with the binding.</summary>
    private static string DescribeBinding(string name, string? driver)
    {
        string unbind = driver is null ? "" : $"echo {name} >/sys/bus/pci/drivers/{driver}/unbind; ";
        return $"the device has {(driver is null ? "no driver" : $"driver {driver}")}; give it to VFIO: "
            + $"{unbind}echo vfio-pci >/sys/bus/pci/devices/{name}/driver_override; echo {name} >/sys/bus/pci/drivers_probe";
    }
}
