using Vmm.DeviceModel.Events;

namespace Vmm.DeviceModel.Interrupts;

/// <summary>A device's view of one interrupt: something to signal. Whether it is masked, pending or delivered is the function's business.</summary>
public interface IInterruptVector
{
    /// <summary>
    /// Signals the interrupt once. Callable from any thread; allocates nothing; never throws. Nothing is sent while the guest has the
    /// mechanism disabled: a device with another way to tell an event (a pin) uses <c>MessageVector.TrySignal</c> of <c>Vmm.Pci</c>, which says so.
    /// </summary>
    void Signal();

    /// <summary>
    /// An eventfd whose signals count as <see cref="Signal"/>, for a kernel or another process that drives the device (VFIO, vhost-user).
    /// Made at the first call; a GSI and an irqfd are spent when the vector is first unmasked.
    /// </summary>
    EventFd GetEventFd();
}
