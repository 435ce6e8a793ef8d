using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>Which writes of the device status are steps (virtio 1.2, 2.1 and 3.1.1).</summary>
/// <remarks>
/// The driver's bits form a chain: nothing, ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK. A write adds the next one; the first two may come
/// together, because nothing happens between them that a device could see. FAILED may be added anywhere. "The driver MUST NOT clear a device
/// status bit" (2.1.1) but by writing zero. DEVICE_NEEDS_RESET is the device's and reserved bits are nobody's: a driver that writes back
/// what it read carries them along, one with a copy of its own does not, so what a write says about them means nothing.
/// </remarks>
internal static class StatusMachine
{
    /// <summary>The bits that a driver sets.</summary>
    public const DeviceStatus DriverBits =
        DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk | DeviceStatus.Failed;

    private const DeviceStatus Found = DeviceStatus.Acknowledge;
    private const DeviceStatus Bound = Found | DeviceStatus.Driver;
    private const DeviceStatus Negotiated = Bound | DeviceStatus.FeaturesOk;
    private const DeviceStatus Running = Negotiated | DeviceStatus.DriverOk;

    /// <summary>Judges a write.</summary>
    /// <param name="current">The status as it is.</param>
    /// <param name="written">What the driver wrote.</param>
    /// <param name="next">The status if the step is taken; <paramref name="current"/> where there is none.</param>
    public static StatusChange Judge(DeviceStatus current, byte written, out DeviceStatus next)
    {
        next = current;
        if (written == 0)
        {
            next = DeviceStatus.None;
            return StatusChange.Reset;
        }

        DeviceStatus before = current & DriverBits;
        DeviceStatus after = (DeviceStatus)written & DriverBits;
        if (after == before)
        {
            return StatusChange.None;
        }

        StatusChange change = (before, after) switch
        {
            (DeviceStatus.None, Found) => StatusChange.Recognise,
            (DeviceStatus.None, Bound) => StatusChange.Recognise,
            (Found, Bound) => StatusChange.Recognise,
            (Bound, Negotiated) => StatusChange.Negotiate,
            (Negotiated, Running) => StatusChange.Activate,
            _ when after == (before | DeviceStatus.Failed) => StatusChange.Fail,
            _ => StatusChange.Illegal,
        };
        if (change != StatusChange.Illegal)
        {
            next = current | after;
        }

        return change;
    }
}
