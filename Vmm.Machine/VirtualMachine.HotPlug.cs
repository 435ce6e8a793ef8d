using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Vmm.DeviceModel.Memory;
using Vmm.Kvm;
using Vmm.Pci;
using Vmm.Pci.Bridges;

namespace Vmm.Machine;

/// <content>Functions that come and go while the machine runs.</content>
public sealed partial class VirtualMachine
{
    /// <summary>The root ports, in the order of <see cref="MachineOptions.RootPorts"/>.</summary>
    public IReadOnlyList<PciRootPort> RootPorts => _devices!.Slots.Ports;

    /// <summary>Slots, doorbells, routes and irqfds that the machine has registered with the hypervisor now.</summary>
    public KvmResourceCounts ResourceCounts => _hypervisor!.Counts;

    /// <summary>Guest memory as a new function of this machine reaches it; no two functions share one.</summary>
    public DmaTarget CreateDmaTarget() => _devices!.CreateDmaTarget();

    /// <summary>Puts a function into the empty slot of a root port and tells the guest.</summary>
    /// <param name="port">Name of the port.</param>
    /// <param name="function">A function of no bus. The machine owns it from now on, unless this throws.</param>
    /// <exception cref="ArgumentException">There is no such port, or the function's layout contradicts itself.</exception>
    /// <exception cref="InvalidOperationException">The slot is not empty, is not made for hot-plug, or its last device is not all gone.</exception>
    /// <exception cref="ObjectDisposedException">The machine has ended.</exception>
    public void HotAdd(string port, PciFunction function)
    {
        ArgumentNullException.ThrowIfNull(function);
        _devices!.Slots.Add(port, function);
        _logger.DeviceAdded(function.Name, port);
    }

    /// <summary>Puts a disk into the empty slot of a root port and tells the guest.</summary>
    /// <param name="port">Name of the port.</param>
    /// <param name="disk">The disk; without an id it has the port's name.</param>
    /// <exception cref="MachineException">The file cannot be opened.</exception>
    /// <exception cref="ArgumentException">There is no such port.</exception>
    /// <exception cref="InvalidOperationException">The slot is not empty, is not made for hot-plug, or its last device is not all gone.</exception>
    /// <exception cref="ObjectDisposedException">The machine has ended.</exception>
    public void HotAdd(string port, DiskOptions disk)
    {
        ArgumentNullException.ThrowIfNull(disk);
        AddOrDispose(port, _devices!.MakeDisk(disk, disk.Id ?? port));
    }

    /// <summary>Puts a network card into the empty slot of a root port and tells the guest.</summary>
    /// <param name="port">Name of the port.</param>
    /// <param name="net">The card; without an id it has the port's name.</param>
    /// <exception cref="MachineException">The tap cannot be opened.</exception>
    /// <exception cref="ArgumentException">There is no such port.</exception>
    /// <exception cref="InvalidOperationException">The slot is not empty, is not made for hot-plug, or its last device is not all gone.</exception>
    /// <exception cref="ObjectDisposedException">The machine has ended.</exception>
    public void HotAdd(string port, NetOptions net)
    {
        ArgumentNullException.ThrowIfNull(net);
        AddOrDispose(port, _devices!.MakeNet(net, net.Id ?? port));
    }

    /// <summary>Takes the device out of a root port's slot.</summary>
    /// <param name="port">Name of the port.</param>
    /// <param name="removal">
    /// Orderly: the guest is asked, and may take its time; asking again while it does changes nothing, a surprise ends the wait.
    /// </param>
    /// <returns>
    /// Completes when the device is off the bus, stopped and disposed: no thread, descriptor or registration of it is left. A guest that never
    /// answers leaves it open until the machine is disposed.
    /// </returns>
    /// <exception cref="ArgumentException">There is no such port.</exception>
    /// <exception cref="InvalidOperationException">The slot is empty, or has no button to ask with.</exception>
    /// <exception cref="ObjectDisposedException">The machine has ended.</exception>
    public Task HotRemoveAsync(string port, SlotRemoval removal) => _devices!.Slots.RemoveAsync(port, removal);

    private void AddOrDispose(string port, PciFunction function)
    {
        try
        {
            HotAdd(port, function);
        }
        catch
        {
            function.Dispose();
            throw;
        }
    }
}
