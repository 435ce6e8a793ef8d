namespace Vmm.DeviceModel.Memory;

/// <summary>Guest RAM cannot be removed because a device's I/O into it has not ended. Nothing has changed: the region is where it was.</summary>
public sealed class PinnedMemoryException : HostException
{
    internal PinnedMemoryException(GuestMemoryRegion region)
        : base(
            "remove",
            Interop.Errno.EBUSY,
            $"RAM at 0x{region.Address:x} + 0x{region.Length:x} stays: {region.PinCount} requests of devices that lie in it have not ended; "
            + "try again when they have")
    {
        Region = region;
    }

    /// <summary>The region.</summary>
    public GuestMemoryRegion Region { get; }
}
