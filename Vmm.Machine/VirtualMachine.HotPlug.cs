using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Memory;
using Vmm.Kvm;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Pci.Bridges;
using Vmm.Virtio.Devices;

namespace Vmm.Machine;

/// <content>Devices that come and go while the machine runs.</content>
public sealed partial class VirtualMachine
{
    /// <summary>The devices that are there now: those of the options in the order of their slots, then those that were added.</summary>
    public IReadOnlyList<MachineDevice> Devices => _devices!.Devices;

    /// <summary>Those of <see cref="Devices"/> that were added and that nobody has asked back.</summary>
    public IReadOnlyList<MachineDevice> PluggedDevices => _devices!.Plugged;

    /// <summary>Completes, after the disposal, when the disks have let go of their files; see <see cref="BlockDevice.Closed"/>.</summary>
    public Task DisksClosed => _devices!.Closed;

    /// <summary>Those of <see cref="Devices"/> that are in the slots of root ports.</summary>
    internal IEnumerable<MachineDevice> DevicesInSlots => Devices.Where(static device => device.Function.Bus is { IsRoot: false });

    /// <summary>The root ports, in the order of <see cref="MachineOptions.RootPorts"/>.</summary>
    public IReadOnlyList<PciRootPort> RootPorts => _devices!.Slots.Ports;

    /// <summary>Slots, doorbells, routes and irqfds that the machine has registered with the hypervisor now.</summary>
    public KvmResourceCounts ResourceCounts => _hypervisor!.Counts;

    /// <summary>Guest memory as a new function of this machine reaches it; no two functions share one.</summary>
    public DmaTarget CreateDmaTarget() => _devices!.CreateDmaTarget();

    /// <summary>Makes a device, puts it into the empty slot of a root port and tells the guest.</summary>
    /// <param name="options">The device, of a kind of <see cref="MachineOptions.Catalogue"/>, or a <see cref="FunctionOptions"/>.</param>
    /// <param name="port">Name of the root port, or null for the first whose slot is empty.</param>
    /// <returns>The device's id: its own, or the kind's next that is free.</returns>
    /// <exception cref="MachineException">The host cannot give something, or another device has the id.</exception>
    /// <exception cref="ArgumentException">There is no such port or kind, or the options contradict themselves.</exception>
    /// <exception cref="InvalidOperationException">The slot is not empty, is not made for hot-plug, or its last device is not all gone.</exception>
    /// <exception cref="ObjectDisposedException">The machine has ended.</exception>
    public string HotAdd(DeviceOptions options, string? port = null) => _devices!.HotAdd(options, port);

    /// <summary>Asks the guest to let go of a device, and takes it out of its slot then.</summary>
    /// <inheritdoc cref="HotRemoveAsync(string, SlotRemoval, CancellationToken)"/>
    public Task HotRemoveAsync(string id, CancellationToken cancellationToken = default)
    {
        return HotRemoveAsync(id, SlotRemoval.Orderly, cancellationToken);
    }

    /// <summary>Takes a device out of its root port's slot.</summary>
    /// <param name="id">The device that was added.</param>
    /// <param name="removal">
    /// Orderly: the guest is asked, and may take its time; asking again while it does changes nothing, a surprise ends the wait.
    /// </param>
    /// <param name="cancellationToken">Ends the waiting, not the removal.</param>
    /// <returns>
    /// Completes when the device is off the bus, stopped and disposed: no thread, descriptor or registration of it is left, and its id is free. A
    /// guest that never answers leaves it open until the machine is disposed.
    /// </returns>
    /// <exception cref="ArgumentException">There is no such device.</exception>
    /// <exception cref="InvalidOperationException">It is not in the slot of a root port, or the slot has no button to ask with.</exception>
    /// <exception cref="ObjectDisposedException">The machine has ended.</exception>
    public Task HotRemoveAsync(string id, SlotRemoval removal, CancellationToken cancellationToken = default)
    {
        return _devices!.HotRemoveAsync(id, removal).WaitAsync(cancellationToken);
    }
}
