using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci.Interrupts;

namespace Vmm.Pci.Host;

/// <summary>The wires that the pins of a bus drive: through the bridges above, each of which swizzles them, to the lines of the machine (PCI-9).</summary>
/// <remarks>Used under the topology lock, but for <see cref="GetGsi"/>, which reads only.</remarks>
internal sealed class IntxWiring(PciBus bus)
{
    private readonly Dictionary<int, SharedInterruptLine> _lines = [];

    /// <summary>The GSI that a pin of a device on this bus drives, swizzled through the bridges above.</summary>
    public int GetGsi(int device, InterruptPin pin)
    {
        PciInterruptRouting routing = bus.InterruptRouting;
        PciBus at = bus;
        while (at is { Parent: { } parent, Bridge: { } bridge })
        {
            pin = PciInterruptRouting.Swizzle(device, pin);
            device = bridge.Address.Device;
            routing = bridge.IsRootPort ? bus.PortInterruptRouting : routing;
            at = parent;
        }

        return routing.GetGsi(device, pin);
    }

    /// <summary>A source of the wire that a pin of a device drives, or null if there is no such wire.</summary>
    public IInterruptLine? CreateSource(int device, InterruptPin pin)
    {
        return pin == InterruptPin.None || bus.InterruptLines is not { } lines ? null : CreateSource(GetGsi(device, pin), lines);
    }

    /// <summary>Connects eventfds to the wire of a pin, or gives null where the hypervisor cannot.</summary>
    public IDisposable? Connect(int device, InterruptPin pin, EventFd source, EventFd resample)
    {
        int gsi = GetGsi(device, pin);
        return (bus.InterruptLines as IResampledLines)?.Connect(gsi, source, resample);
    }

    private IInterruptLine CreateSource(int gsi, IInterruptLines lines)
    {
        if (bus.Parent is { } parent)
        {
            return parent.Wiring.CreateSource(gsi, lines);
        }

        if (!_lines.TryGetValue(gsi, out SharedInterruptLine? line))
        {
            line = new SharedInterruptLine(lines.GetLine(gsi));
            _lines.Add(gsi, line);
        }

        return line.CreateSource();
    }
}
