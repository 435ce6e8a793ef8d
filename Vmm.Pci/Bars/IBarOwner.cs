using System;
using Vmm.DeviceModel;

namespace Vmm.Pci.Bars;

/// <summary>The function whose BARs a <see cref="BarMapper"/> maps.</summary>
internal interface IBarOwner
{
    /// <summary>Name of the function, for traces.</summary>
    string Name { get; }

    /// <summary>True while the power state lets BARs decode.</summary>
    bool IsPowered { get; }

    /// <summary>A region of a BAR, reached without its address, threw at an offset. The function counts and logs it.</summary>
    void Fault(Exception reason, int offset);

    /// <summary>BARs decode where they did not, or not where they did. The mapping lock is held; nothing is thrown.</summary>
    void DecodingChanged();

    /// <summary>The hypervisor refused to map a BAR where the guest had put it. The mapping lock is held.</summary>
    void MappingRefused(PciBar bar, ulong address, HostException reason);
}
