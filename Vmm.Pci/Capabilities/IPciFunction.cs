using System.Collections.Generic;
using Vmm.Pci.Bars;
using Vmm.Pci.ConfigSpace;

namespace Vmm.Pci.Capabilities;

/// <summary>A function as its capabilities see it.</summary>
public interface IPciFunction
{
    /// <summary>Shown in logs.</summary>
    string Name { get; }

    /// <summary>The registers as data.</summary>
    PciConfigurationSpace ConfigurationSpace { get; }

    /// <summary>The BARs, by index.</summary>
    IReadOnlyList<PciBar> Bars { get; }

    /// <summary>True while the function may use DMA and send messages.</summary>
    bool IsBusMaster { get; }

    /// <summary>Reads from a BAR by offset, without its address, also while it does not decode.</summary>
    /// <param name="index">Index of the BAR; without such a BAR the value is all-ones.</param>
    /// <param name="offset">Offset in the BAR, a multiple of <paramref name="width"/>; outside of a region the value is all-ones.</param>
    /// <param name="width">1, 2, 4 or 8.</param>
    ulong ReadBar(int index, ulong offset, int width);

    /// <summary>Writes to a BAR by offset, without its address, also while it does not decode.</summary>
    /// <param name="index">Index of the BAR; without such a BAR the write is dropped.</param>
    /// <param name="offset">Offset in the BAR, a multiple of <paramref name="width"/>; outside of a region the write is dropped.</param>
    /// <param name="width">1, 2, 4 or 8.</param>
    /// <param name="value">Little-endian.</param>
    void WriteBar(int index, ulong offset, int width, ulong value);
}
