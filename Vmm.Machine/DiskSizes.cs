using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel;
using Vmm.Machine.Host;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Machine;

/// <summary>Gives disks of a machine another size.</summary>
internal static class DiskSizes
{
    /// <summary>The disk gets the size, and its guest is told.</summary>
    /// <param name="devices">The machine's devices.</param>
    /// <param name="id">The disk.</param>
    /// <param name="size">Bytes.</param>
    /// <exception cref="ArgumentException">There is no such device, it is not a disk, or a disk cannot have so many bytes.</exception>
    /// <exception cref="MachineException">The disk is read-only, or the host refuses; nothing has changed.</exception>
    public static void Change(IReadOnlyList<MachineDevice> devices, string id, long size)
    {
        ArgumentNullException.ThrowIfNull(id);
        MachineDevice device = devices.FirstOrDefault(device => device.Id == id) ?? throw Absent(id);
        if (device.Function is not VirtioPciFunction { Device: BlockDevice disk })
        {
            throw new ArgumentException($"{id} is not a disk", nameof(id));
        }

        try
        {
            disk.Resize(size);
        }
        catch (HostException e)
        {
            throw new MachineException("disk", id, e.Message, e);
        }
        catch (ObjectDisposedException)
        {
            // It was removed meanwhile.
            throw Absent(id);
        }
    }

    private static ArgumentException Absent(string id) => new($"the machine has no device {id}", nameof(id));
}
