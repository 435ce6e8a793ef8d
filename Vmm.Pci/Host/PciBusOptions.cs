using System.Collections.Generic;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Hypervisor;
using Vmm.Pci.Interrupts;

namespace Vmm.Pci.Host;

/// <summary>What a <see cref="PciBus"/> is wired to; all but the memory space is optional, so that device tests need no hypervisor.</summary>
public record PciBusOptions
{
    /// <summary>Where memory BARs decode.</summary>
    public required AddressSpace Memory { get; init; }

    /// <summary>Where I/O BARs decode; without it they do not.</summary>
    public AddressSpace? Ports { get; init; }

    /// <summary>Ranges that reach the bus; BARs outside of them do not decode. Empty: everything reaches it.</summary>
    public IReadOnlyList<PciWindow> Windows { get; init; } = [];

    /// <summary>Takes message-signalled interrupts.</summary>
    public IMsiSink? MsiSink { get; init; }

    /// <summary>Delivers eventfds that the kernel or another process signals.</summary>
    public IIrqRouting? IrqRouting { get; init; }

    /// <summary>The wires that INTx pins drive; without them a pin's level is only visible in the Status register.</summary>
    public IInterruptLines? InterruptLines { get; init; }

    /// <summary>Which wire a pin drives.</summary>
    public PciInterruptRouting InterruptRouting { get; init; } = new();

    /// <summary>Which wire a pin behind a root port drives, by the port's device number; null for the wires of the port's own pins.</summary>
    /// <remarks>
    /// Wires of their own matter where messages are off: Linux removes a function on the interrupt thread of the port's wire, and waits
    /// there for all threads of the function's wire to end. If that is the same wire, it waits for itself.
    /// </remarks>
    public PciInterruptRouting? PortInterruptRouting { get; init; }

    /// <summary>Where functions log; nothing is logged without it.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}
