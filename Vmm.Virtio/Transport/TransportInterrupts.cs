using System;
using Vmm.DeviceModel.Events;
using Vmm.Pci.Capabilities;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>Turns the device's events into messages or into the pin, by the mode that the driver has chosen at that time (4.1.5.3, 4.1.5.4).</summary>
/// <param name="msix">The vectors, or null for a function without MSI-X.</param>
/// <param name="isr">The status byte for INTx.</param>
internal sealed class TransportInterrupts(MsixCapability? msix, IsrRegister isr)
{
    /// <summary>How many vectors can be mapped.</summary>
    public int VectorCount => msix?.VectorCount ?? 0;

    /// <summary>A queue has used buffers.</summary>
    public void SignalQueue(ushort vector)
    {
        if (msix is { IsEnabled: true })
        {
            SignalVector(vector);
        }
        else
        {
            isr.Raise(IsrStatus.Queue);
        }
    }

    /// <summary>Configuration or status has changed; the ISR bit is set in either mode (4.1.4.5.1).</summary>
    public void SignalConfiguration(ushort vector)
    {
        isr.Raise(IsrStatus.Configuration);
        if (msix is { IsEnabled: true })
        {
            SignalVector(vector);
        }
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

    private void SignalVector(ushort vector)
    {
        // NO_VECTOR is above every table.
        if (vector < msix!.VectorCount)
        {
            msix[vector].Signal();
        }
    }
}
