using System.Collections.Generic;
using Vmm.DeviceModel.Events;

namespace Vmm.DeviceModel.Hypervisor;

/// <summary>
/// Eventfds that the hypervisor turns into message-signalled interrupts (irqfd), for devices driven by the kernel or another process.
/// </summary>
public interface IIrqRouting
{
    /// <summary>Makes a disarmed route for an eventfd. GSI and irqfd are spent at the first <see cref="IIrqRoute.Arm"/> (KVM-5).</summary>
    /// <param name="source">Signalled by the kernel or another process.</param>
    IIrqRoute CreateRoute(EventFd source);

    /// <summary>Arms several routes by one change of the hypervisor's table (KVM-5), as <see cref="IIrqRoute.Arm"/> does: all, or none.</summary>
    /// <param name="armings">Routes of this machine and their messages; each route at most once.</param>
    /// <exception cref="HostException">GSIs, routes or irqfds are exhausted; every route in the list is disarmed.</exception>
    void ArmAll(IReadOnlyList<RouteArming> armings);
}
