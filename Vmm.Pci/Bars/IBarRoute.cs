using System;
using System.Threading;
using Vmm.DeviceModel.Bus;

namespace Vmm.Pci.Bars;

/// <summary>The way from the processor to the BARs of a function: what they need to know of the bus that the function is on.</summary>
internal interface IBarRoute
{
    /// <summary>Where memory BARs decode.</summary>
    AddressSpace Memory { get; }

    /// <summary>Where I/O BARs decode, or null.</summary>
    AddressSpace? Ports { get; }

    /// <summary>Held while decoding changes; one for all functions below a host bridge.</summary>
    Lock MappingLock { get; }

    /// <summary>True if a BAR of a kind decodes at an address: inside its space, and inside a window of every bridge and of the host bridge.</summary>
    bool Decodes(PciBarKind kind, ulong address, ulong size);

    /// <summary>Runs an effect at once, or when the access that the calling thread is in has ended.</summary>
    void RunAfterAccess(Action effect);
}
