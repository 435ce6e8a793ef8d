using System;
using System.Threading;
using Vmm.DeviceModel.Bus;
using Vmm.Pci.Bars;

namespace Vmm.Pci.Host;

/// <summary>A bus as BARs know it: the address spaces of the machine, and the windows on the way to it.</summary>
internal sealed class BusDecoding(PciBus bus) : IBarRoute
{
    public AddressSpace Memory => bus.Memory;

    public AddressSpace? Ports => bus.Ports;

    public Lock MappingLock => bus.Hierarchy.Mapping;

    public bool Decodes(PciBarKind kind, ulong address, ulong size)
    {
        AddressSpaceKind space = kind == PciBarKind.Io ? AddressSpaceKind.Port : AddressSpaceKind.Memory;
        if (space == AddressSpaceKind.Port && (address > 0xffff || size - 1 > 0xffff - address))
        {
            return false;
        }

        if (bus.Bridge is { } bridge)
        {
            return bridge.Forwards(kind, address, size) && bus.Parent is { } parent && parent.Decoding.Decodes(kind, address, size);
        }

        if (bus.Windows.Count == 0)
        {
            return true;
        }

        foreach (PciWindow window in bus.Windows)
        {
            if (window.Kind == space && window.Contains(address, size))
            {
                return true;
            }
        }

        return false;
    }

    public void RunAfterAccess(Action effect) => bus.RunAfterAccess(effect);
}
