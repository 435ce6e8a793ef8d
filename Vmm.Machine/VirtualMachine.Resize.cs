using System;
using Vmm.Machine.Host;

namespace Vmm.Machine;

/// <content>Devices that change while the machine runs.</content>
public sealed partial class VirtualMachine
{
    /// <summary>
    /// Gives a disk another size, and tells the guest. A file is made longer or cut; a block device of the host has to have the size by then. What
    /// the guest has in flight beyond a new end fails. From any thread; returns when the host has done it.
    /// </summary>
    /// <param name="id">The disk.</param>
    /// <param name="size">Bytes, a multiple of 512, with <c>direct=on</c> of what that needs.</param>
    /// <exception cref="ArgumentException">There is no such device, it is not a disk, or a disk cannot have so many bytes.</exception>
    /// <exception cref="MachineException">The disk is read-only, or the host refuses; nothing has changed.</exception>
    /// <exception cref="ObjectDisposedException">The machine has ended.</exception>
    public void ResizeDisk(string id, long size)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        DiskSizes.Change(Devices, id, size);
    }
}
