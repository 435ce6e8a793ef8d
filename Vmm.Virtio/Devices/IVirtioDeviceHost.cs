using System;

namespace Vmm.Virtio.Devices;

/// <summary>What a transport gives to its device.</summary>
/// <remarks>Callable from any thread; calls made before DRIVER_OK or after a reset do nothing.</remarks>
public interface IVirtioDeviceHost
{
    /// <summary>
    /// Device configuration has changed: the generation moves with the driver's next look, and a configuration interrupt follows (VTP-10).
    /// </summary>
    void ConfigurationChanged();

    /// <summary>The device cannot go on: sets DEVICE_NEEDS_RESET and raises a configuration interrupt (VTP-16).</summary>
    /// <param name="reason">For the log and the counters.</param>
    /// <param name="failure">The exception of the device's code that is the cause, for the log; null if the driver or the host is.</param>
    void NeedsReset(string reason, Exception? failure = null);
}
