using Microsoft.Extensions.Logging;
using Vmm.Pci.Bars;

namespace Vmm.Pci;

/// <summary>The bus that a function is on, with what only <see cref="PciFunction"/> itself needs of it.</summary>
internal interface IFunctionBus : IPciBus
{
    /// <summary>Where BARs decode, and under which lock.</summary>
    IBarRoute Route { get; }

    /// <summary>Takes what functions report.</summary>
    ILogger Logger { get; }

    /// <summary>True while functions on the bus can master it up to the root.</summary>
    bool ForwardsUpstream { get; }

    /// <summary>Takes a function off the bus if it is still there.</summary>
    /// <exception cref="System.InvalidOperationException">Something has to go first, or this is called from inside an access.</exception>
    void RemoveForDisposal(PciFunction function);
}
