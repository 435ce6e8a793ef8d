using System;
using Vmm.DeviceModel.Events;
using Vmm.Pci.Capabilities;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>
/// Turns the device's events into messages or into the pin, by the mode that the driver has chosen at that time (4.1.5.3, 4.1.5.4).
/// </summary>
/// <remarks>
/// The driver may switch MSI-X at any moment, so an event is given to the mechanism in one step with the look whether that is in force, and to the
/// other one if it is not.
/// </remarks>
/// <param name="msix">The vectors, or null for a function without MSI-X.</param>
/// <param name="isr">The status byte for INTx.</param>
internal sealed class TransportInterrupts(MsixCapability? msix, IsrRegister isr)
{
    /// <summary>How many vectors can be mapped.</summary>
    public int VectorCount => msix?.VectorCount ?? 0;

    /// <summary>A queue has used buffers.</summary>
    public void SignalQueue(ushort vector)
    {
        if (TrySignalVector(vector))
        {
            return;
        }

        isr.Raise(IsrStatus.Queue);

        // Enabled since the look: the pin was silent already.
        TrySignalVector(vector);
    }

    /// <summary>Configuration or status has changed; the ISR bit is set in either mode (4.1.4.5.1).</summary>
    public void SignalConfiguration(ushort vector)
    {
        // The bit speaks through the pin as soon as MSI-X is off, so that nothing is lost if it goes off now.
        isr.Raise(IsrStatus.Configuration);
        TrySignalVector(vector);
    }

    /// <summary>The eventfd of the table entry that an event is mapped to now.</summary>
    public EventFd GetEventFd(ushort vector)
    {
        if (msix is not { IsEnabled: true } || vector >= msix.VectorCount)
        {
            throw new InvalidOperationException("an event has an eventfd only while MSI-X is enabled and the event is mapped to a vector");
        }

        return msix[vector].GetEventFd();
    }

    /// <returns>False if MSI-X is not in force.</returns>
    private bool TrySignalVector(ushort vector)
    {
        if (msix is not { IsEnabled: true })
        {
            return false;
        }

        // An event that is mapped to NO_VECTOR, which is above every table, is told to nobody.
        return vector >= msix.VectorCount || msix[vector].TrySignal();
    }
}
