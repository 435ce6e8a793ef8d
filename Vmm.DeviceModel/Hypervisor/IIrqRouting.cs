using Vmm.DeviceModel.Events;

namespace Vmm.DeviceModel.Hypervisor;

/// <summary>Eventfds that the hypervisor turns into message-signalled interrupts (irqfd), for devices driven by the kernel or another process.</summary>
public interface IIrqRouting
{
    /// <summary>Makes a disarmed route for an eventfd. GSI and irqfd are spent at the first <see cref="IIrqRoute.Arm"/> (KVM-5).</summary>
    /// <param name="source">Signalled by the kernel or another process.</param>
    IIrqRoute CreateRoute(EventFd source);
}
