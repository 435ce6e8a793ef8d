using System.Collections.Generic;
using System.Linq;
using System.Threading;

namespace Vmm.Pci.Host;

/// <summary>The places of a bus and the functions in them, of which several of one number make a device.</summary>
/// <remarks>Changed under the topology lock, read by any thread.</remarks>
internal sealed class BusSlots
{
    private PciBridge[] _bridges = [];

    /// <summary>The functions by device &lt;&lt; 3 | function; 256 places.</summary>
    public PciFunction?[] Places { get; } = new PciFunction?[256];

    /// <summary>The functions, by device and function number.</summary>
    public IEnumerable<PciFunction> Functions => Places.OfType<PciFunction>();

    /// <summary>The bridges among them.</summary>
    public PciBridge[] Bridges => Volatile.Read(ref _bridges);

    /// <summary>Puts a function into a place, or empties it. Bridges, and what headers say of multi-function devices, follow.</summary>
    public void Set(PciAddress place, PciFunction? function)
    {
        Volatile.Write(ref Places[place.DeviceFunction], function);
        Volatile.Write(ref _bridges, Places.OfType<PciBridge>().ToArray());
        var functions = FunctionsOf(place.Device).ToList();
        foreach (PciFunction? each in functions)
        {
            FunctionHeader.SetMultiFunction(each.ConfigurationSpace, functions.Count > 1);
        }
    }

    /// <summary>Why a function of the bus cannot leave it yet, or null.</summary>
    public string? WhatGoesFirst(PciFunction function)
    {
        PciAddress address = function.Address;
        if (address.Function == 0 && FunctionsOf(address.Device).Count() > 1)
        {
            return $"{function.Name} at {address}: a device's function 0 is removed after its others";
        }

        return function is PciBridge { Secondary: var secondary } && secondary.Functions.Any()
            ? $"{function.Name} at {address}: a bridge is removed after what is behind it"
            : null;
    }

    private IEnumerable<PciFunction> FunctionsOf(int device) => Places.Skip(device << 3).Take(8).OfType<PciFunction>();
}
