namespace Vmm.DeviceModel.Memory;

/// <summary>Told of guest RAM that comes and goes: who maps it for DMA (VFIO) or shares it with another process (vhost-user).</summary>
/// <remarks>
/// Called on the thread that makes the change, outside of the domain, under the memory's lock of changes: change nothing from here.
/// </remarks>
public interface IGuestMemoryListener
{
    /// <summary>A region is about to be visible to devices. Throwing refuses it: the memory stays as it was.</summary>
    /// <param name="region">The region.</param>
    void Added(GuestMemoryRegion region);

    /// <summary>No device uses the region any more; its mapping stays until this returns. Must not throw.</summary>
    /// <param name="region">A region that was added.</param>
    void Removed(GuestMemoryRegion region);
}
