using System;
using Vmm.DeviceModel.Events;

namespace Vmm.DeviceModel.Hypervisor;

/// <summary>
/// Wires that an eventfd asserts and the guest's end-of-interrupt lets fall (irqfd with resample): level interrupts of real devices.
/// </summary>
public interface IResampledLines : IInterruptLines
{
    /// <summary>
    /// Lets an eventfd assert a line as a level; when the guest acknowledges, the line falls and <paramref name="resample"/> is signalled.
    /// </summary>
    /// <param name="gsi">Global system interrupt, as for <see cref="IInterruptLines.GetLine"/>; several sources and emulated ones are OR-ed.</param>
    /// <param name="source">Signalled by the kernel or another process to assert.</param>
    /// <param name="resample">Signalled at the guest's end-of-interrupt, so that the source can assert again.</param>
    /// <returns>The connection; disposing removes exactly it. Both eventfds must stay open until then.</returns>
    /// <exception cref="HostException">The hypervisor refused.</exception>
    IDisposable Connect(int gsi, EventFd source, EventFd resample);
}
