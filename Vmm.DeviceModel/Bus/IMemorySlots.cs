using System;

namespace Vmm.DeviceModel.Bus;

/// <summary>Host memory that the guest reaches without an exit.</summary>
public interface IMemorySlots
{
    /// <summary>Makes host memory visible to the guest.</summary>
    /// <param name="guestAddress">Page-aligned guest-physical address.</param>
    /// <param name="length">Bytes, a multiple of the page size.</param>
    /// <param name="host">Page-aligned host address; must stay mapped until the result is disposed.</param>
    /// <param name="readOnly">Guest writes exit instead of reaching the memory.</param>
    /// <param name="isRam">Plain memory, without effects of a read and there as long as the slot: diagnostics may look at it.</param>
    /// <returns>The registration; disposing removes exactly this slot (KVM-6).</returns>
    /// <exception cref="HostException">The hypervisor refused; the message names the limit if one was hit (KVM-8).</exception>
    IDisposable Map(ulong guestAddress, ulong length, nint host, bool readOnly, bool isRam = false);
}
