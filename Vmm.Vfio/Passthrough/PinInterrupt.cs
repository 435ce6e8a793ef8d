using System;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.Pci.Access;

namespace Vmm.Vfio.Passthrough;

/// <summary>
/// The pin of a device, wired to the guest without us in between: the device's eventfd asserts the line, the guest's end-of-interrupt lets it
/// fall and has the device unmasked (VFIO-8). Used under the lock of <see cref="PassthroughInterrupts"/>.
/// </summary>
internal sealed class PinInterrupt(PassthroughFunction function, IPciDeviceBackend backend) : IDisposable
{
    private EventFd? _trigger;
    private EventFd? _resample;
    private IDisposable? _connection;

    /// <summary>Connects and enables the pin; after a failure nothing is connected.</summary>
    /// <exception cref="VfioException">The device refuses.</exception>
    /// <exception cref="HostException">The hypervisor refuses.</exception>
    public void Enable()
    {
        EventFd trigger = _trigger ??= new EventFd();
        EventFd resample = _resample ??= new EventFd();

        // What was left over from the last time is nobody's interrupt any more.
        trigger.TryConsume(out _);
        resample.TryConsume(out _);
        _connection = function.Bus?.ConnectPin(function, trigger, resample)
            ?? throw new HostException("INTx", 0, "the machine has no wires that tell of the guest's end-of-interrupt");
        try
        {
            // The pin is enabled first: there is nothing to unmask before. An acknowledgement in between waits in its eventfd.
            backend.SetTriggers(PciInterruptIndex.Pin, 0, [trigger]);
            backend.SetPinUnmask(resample);
        }
        catch
        {
            Disable();
            throw;
        }
    }

    /// <summary>Disables the pin and disconnects it.</summary>
    /// <exception cref="VfioException">The device refuses; it is disconnected all the same.</exception>
    public void Disable()
    {
        try
        {
            backend.DisableInterrupts(PciInterruptIndex.Pin);
        }
        finally
        {
            _connection?.Dispose();
            _connection = null;
        }
    }

    /// <summary>Closes the eventfds; the pin is disabled.</summary>
    public void Dispose()
    {
        _connection?.Dispose();
        _trigger?.Dispose();
        _resample?.Dispose();
    }
}
