using System;
using System.Threading;
using Vmm.Virtio.Devices;

namespace Vmm.Virtio.Transport;

/// <summary>What a device may tell its transport between DRIVER_OK and the reset after it.</summary>
/// <remarks>
/// The gate orders the device's threads against the end: when <see cref="Revoke"/> returns, no call is under way and none has an effect any
/// more, so that no interrupt follows a completed reset. Lock order: the transition lock, this gate, then the interrupts'.
/// </remarks>
internal sealed class ActivationHost(DeviceAnnouncements announcements) : IVirtioDeviceHost
{
    private readonly Lock _gate = new();
    private bool _revoked;

    public void ConfigurationChanged()
    {
        lock (_gate)
        {
            if (!_revoked)
            {
                announcements.ConfigurationChanged();
            }
        }
    }

    public void NeedsReset(string reason, Exception? failure = null)
    {
        lock (_gate)
        {
            if (!_revoked)
            {
                announcements.NeedsReset(reason, failure);
            }
        }
    }

    /// <summary>Ends it.</summary>
    public void Revoke()
    {
        lock (_gate)
        {
            _revoked = true;
        }
    }
}
