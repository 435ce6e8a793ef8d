using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;
using Vmm.Vfio.Interop;

namespace Vmm.Vfio.Kernel;

/// <content>Resets (VFIO-10).</content>
public sealed unsafe partial class VfioPciDevice
{
    private const uint MaximumDependents = 4096;
    private const int HotResetRounds = 8;

    /// <inheritdoc/>
    public void Reset()
    {
        if (!CanReset)
        {
            throw Refuse(nameof(VfioRequests.VFIO_DEVICE_RESET), 0, "no reset reaches this device alone");
        }

        int result = File.Ioctl(VfioRequests.VFIO_DEVICE_RESET, 0);
        if (result < 0)
        {
            throw Refuse(nameof(VfioRequests.VFIO_DEVICE_RESET), result, "the reset failed");
        }
    }

    /// <inheritdoc/>
    public string? TryHotReset()
    {
        int result = AskDependents(out uint flags, out vfio_pci_dependent_device[] dependents);
        if (result < 0)
        {
            return result == -Errno.ENODEV
                ? "neither its slot nor its bus can be reset"
                : $"what a reset of its bus reaches is not known (errno {-result})";
        }

        string[] inUse = [.. dependents.Select(Describe).Where(name => name != Name && _owner.Attached.Contains(name))];
        if (inUse.Length > 0)
        {
            return $"a reset of its bus would reach what is in use: {string.Join(", ", inUse)}";
        }

        IReadOnlyList<int> groups = [];
        if ((flags & IommufdRequests.VFIO_PCI_HOT_RESET_FLAG_DEV_ID) != 0)
        {
            if ((flags & IommufdRequests.VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED) == 0)
            {
                return DescribeForeign(dependents.Where(device => device.group_id == IommufdRequests.VFIO_PCI_DEVID_NOT_OWNED));
            }
        }
        else
        {
            IReadOnlyDictionary<int, int> ours = _owner.OpenGroups;
            vfio_pci_dependent_device[] foreign = [.. dependents.Where(device => !ours.ContainsKey(unchecked((int)device.group_id)))];
            if (foreign.Length > 0)
            {
                return DescribeForeign(foreign);
            }

            groups = [.. dependents.Select(device => ours[(int)device.group_id]).Distinct()];
        }

        byte[] reset = new byte[sizeof(vfio_pci_hot_reset) + (groups.Count * sizeof(int))];
        var header = new vfio_pci_hot_reset { argsz = (uint)reset.Length, count = (uint)groups.Count };
        MemoryMarshal.Write(reset, in header);
        for (int i = 0; i < groups.Count; i++)
        {
            MemoryMarshal.Write(reset.AsSpan(sizeof(vfio_pci_hot_reset) + (i * sizeof(int))), groups[i]);
        }

        result = File.Ioctl(VfioRequests.VFIO_DEVICE_PCI_HOT_RESET, reset);
        return result < 0 ? $"the reset of its bus failed (errno {-result})" : null;
    }

    private static string DescribeForeign(IEnumerable<vfio_pci_dependent_device> devices)
    {
        return $"a reset of its bus would reach what is not ours: {string.Join(", ", devices.Select(Describe))}";
    }

    private static string Describe(vfio_pci_dependent_device device)
    {
        return string.Create(CultureInfo.InvariantCulture, $"{device.segment:x4}:{device.bus:x2}:{device.devfn >> 3:x2}.{device.devfn & 7}");
    }

    /// <summary>Asks with room for none, then with room for as many as there are; they may be more by then.</summary>
    private int AskDependents(out uint flags, out vfio_pci_dependent_device[] dependents)
    {
        uint room = 0;
        for (int round = 0; round < HotResetRounds; round++)
        {
            byte[] answer = new byte[sizeof(vfio_pci_hot_reset_info) + (room * sizeof(vfio_pci_dependent_device))];
            MemoryMarshal.Write(answer, (uint)answer.Length);
            int result = File.Ioctl(VfioRequests.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, answer);
            vfio_pci_hot_reset_info info = MemoryMarshal.Read<vfio_pci_hot_reset_info>(answer);
            if (result >= 0 && info.count <= room)
            {
                flags = info.flags;
                dependents = InfoQuery.ReadArray<vfio_pci_dependent_device>(answer, sizeof(vfio_pci_hot_reset_info), info.count)!;
                return result;
            }

            if ((result < 0 && result is not (-Errno.ENOSPC or -Errno.EAGAIN)) || info.count > MaximumDependents)
            {
                (flags, dependents) = (0, []);
                return result < 0 ? result : -Errno.EMSGSIZE;
            }

            room = Math.Max(room, info.count);
        }

        (flags, dependents) = (0, []);
        return -Errno.EAGAIN;
    }
}
