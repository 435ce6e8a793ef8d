using System;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.Pci.Bars;
using Vmm.Pci.Interrupts;

namespace Vmm.Pci;

/// <summary>A bus as the functions on it see it.</summary>
public interface IPciBus
{
    /// <summary>Bus number; behind a bridge, what the guest wrote there.</summary>
    int Number { get; }

    /// <summary>True for the bus below the host bridge.</summary>
    bool IsRoot { get; }

    /// <summary>Where memory BARs decode.</summary>
    AddressSpace Memory { get; }

    /// <summary>Where I/O BARs decode, or null.</summary>
    AddressSpace? Ports { get; }

    /// <summary>Takes message-signalled interrupts, or null.</summary>
    IMsiSink? MsiSink { get; }

    /// <summary>Delivers eventfds, or null.</summary>
    IIrqRouting? IrqRouting { get; }

    /// <summary>Which wire a pin on the root bus drives.</summary>
    PciInterruptRouting InterruptRouting { get; }

    /// <summary>True if the hypervisor tells eventfds of the guest's end-of-interrupt: what a real device's INTx needs.</summary>
    bool HasResampledLines { get; }

    /// <summary>
    /// Takes a function off the bus: nothing of it decodes, and no access to it is in flight, when this returns. Its addresses are free again.
    /// The accesses to its blocking regions (<see cref="PciBarRegion.IsBlocking"/>) are waited for last, when the bus can be changed again.
    /// </summary>
    /// <param name="function">A function of this bus.</param>
    /// <exception cref="ArgumentException">
    /// It is on another bus, or something has to go first: a device's other functions, what is behind a bridge.
    /// </exception>
    /// <exception cref="InvalidOperationException">Called from inside an access.</exception>
    void Remove(PciFunction function);

    /// <summary>
    /// Runs an effect at once, or, if the calling thread is inside an access to a space of the bus, right after that has ended
    /// (<see cref="AccessDomain.RunAfterAccess"/>).
    /// </summary>
    /// <param name="effect">Must handle its own failures.</param>
    void RunAfterAccess(Action effect);

    /// <summary>Connects eventfds to the wire that a function's pin drives, through the bridges above (PCI-9).</summary>
    /// <param name="function">A function of this bus with a pin.</param>
    /// <param name="source">Signalled to assert the level.</param>
    /// <param name="resample">Signalled when the guest has acknowledged it.</param>
    /// <returns>The connection, or null where the hypervisor has no such wires (<see cref="HasResampledLines"/>).</returns>
    /// <exception cref="HostException">The hypervisor refused.</exception>
    IDisposable? ConnectPin(PciFunction function, EventFd source, EventFd resample);
}
