using System;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.DeviceModel.Hypervisor;

/// <summary>One eventfd's way into the guest. Disposing disarms it and frees what it holds.</summary>
public interface IIrqRoute : IDisposable
{
    /// <summary>Delivers the eventfd's signals as <paramref name="message"/> from now on; order as KVM-4.</summary>
    /// <param name="message">What the guest programmed.</param>
    /// <exception cref="HostException">GSIs, routes or irqfds are exhausted.</exception>
    void Arm(in MsiMessage message);

    /// <summary>Stops delivery; the eventfd keeps what is signalled from now on (masking).</summary>
    void Disarm();
}
