using System;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Hypervisor;

namespace Vmm.Pci.Capabilities;

/// <summary>The function as the capabilities of this assembly know it, besides what every capability may ask of it.</summary>
internal interface ICapabilityOwner : IPciFunction
{
    /// <summary>The function is on a bus below the host bridge itself.</summary>
    bool IsOnRootBus { get; }

    /// <summary>Takes the messages of the function, or null.</summary>
    IMsiSink? MsiSink { get; }

    /// <summary>Delivers eventfds, or null.</summary>
    IIrqRouting? IrqRouting { get; }

    /// <summary>Bus, device and function as messages carry them.</summary>
    uint RequesterId { get; }

    /// <summary>Code of a capability threw, at a register. The function counts and logs it.</summary>
    void Fault(Exception reason, int offset);

    /// <summary>Resets the function when the access that the calling thread may be in has ended.</summary>
    void ScheduleReset();

    /// <summary>An enable or mask bit of MSI-X or MSI has changed, and the vectors have followed.</summary>
    void InterruptModeChanged();

    /// <summary>The power state changed: decoding, mastering and the pin follow it, or all of them a reset.</summary>
    void PowerStateChanged(bool reset);

    /// <summary>The hypervisor refused to arm the eventfd of a vector.</summary>
    void RouteRefused(int vector, HostException reason);
}
