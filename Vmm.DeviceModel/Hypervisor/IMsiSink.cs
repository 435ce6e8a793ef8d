using Vmm.DeviceModel.Interrupts;

namespace Vmm.DeviceModel.Hypervisor;

/// <summary>Takes message-signalled interrupts from emulated devices (no GSI spent).</summary>
public interface IMsiSink
{
    /// <summary>Sends a message to the guest's interrupt controller. Callable from any thread; never throws for a guest's address or data.</summary>
    /// <param name="message">Address and data as the guest programmed them.</param>
    /// <param name="requesterId">Bus, device and function of the sender (bus &lt;&lt; 8 | devfn).</param>
    /// <returns>False if nobody accepted it.</returns>
    bool Send(in MsiMessage message, uint requesterId);
}
