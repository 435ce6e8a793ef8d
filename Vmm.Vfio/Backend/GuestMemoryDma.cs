using System;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;

namespace Vmm.Vfio.Backend;

/// <summary>Maps guest RAM for devices at its guest-physical addresses: one mapping a region, as regions come and go (VFIO-11).</summary>
/// <remarks>Called by <see cref="GuestMemory"/>, under its lock of changes; takes the mapper's lock under that.</remarks>
/// <param name="mapper">Where to.</param>
/// <param name="loggerFactory">Where a refused removal is logged.</param>
public sealed class GuestMemoryDma(IDmaMapper mapper, ILoggerFactory? loggerFactory = null) : IGuestMemoryListener
{
    private readonly ILogger _logger = GuardedLogger.Create<GuestMemoryDma>(loggerFactory);

    /// <summary>Maps a region.</summary>
    /// <param name="region">The region.</param>
    /// <exception cref="VfioException">Refused, with the reason; the region is then not added.</exception>
    public void Added(GuestMemoryRegion region)
    {
        ArgumentNullException.ThrowIfNull(region);
        mapper.Map(region.Address, region.Memory, region.Offset, region.Length);
    }

    /// <summary>
    /// Unmaps a region. If that is refused, devices keep reaching its pages, which stay pinned and are nobody else's until the mapper is closed.
    /// </summary>
    /// <param name="region">The region.</param>
    public void Removed(GuestMemoryRegion region)
    {
        ArgumentNullException.ThrowIfNull(region);
        try
        {
            mapper.Unmap(region.Address, region.Length);
        }
        catch (HostException e)
        {
            BackendLog.UnmapRefused(_logger, e, region.Address);
        }
    }
}
