using System.Collections.Generic;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.DeviceModel.Memory;

/// <summary>Remembers regions that came (+) and went (-), and can refuse one.</summary>
internal sealed class RecordingMemoryListener : IGuestMemoryListener
{
    public List<string> Calls { get; } = [];

    public ulong? Refused { get; set; }

    public void Added(GuestMemoryRegion region)
    {
        if (region.Address == Refused)
        {
            throw new HostException("VFIO_IOMMU_MAP_DMA", 12, "too much");
        }

        Calls.Add($"+{region.Address:x}");
    }

    public void Removed(GuestMemoryRegion region) => Calls.Add($"-{region.Address:x}");
}
