using System;
using Vmm.DeviceModel.Events;

namespace Vmm.DeviceModel.Bus;

/// <summary>Writes that become eventfd signals inside the hypervisor (ioeventfd).</summary>
public interface IDoorbells
{
    /// <summary>
    /// Registers a doorbell. Without <paramref name="dataMatch"/> a length of 0 is tried first, then <paramref name="width"/> (KVM-7).
    /// </summary>
    /// <param name="kind">Memory or port.</param>
    /// <param name="address">Guest address.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="dataMatch">The value a write must have, or null.</param>
    /// <param name="target">Signalled at a write.</param>
    /// <returns>The registration; disposing removes exactly it.</returns>
    /// <exception cref="HostException">The hypervisor refused.</exception>
    IDisposable Register(AddressSpaceKind kind, ulong address, int width, ulong? dataMatch, EventFd target);
}
