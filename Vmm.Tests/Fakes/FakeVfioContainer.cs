using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Interop;
using Vmm.Vfio.Interop;

namespace Vmm.Tests.Fakes;

/// <summary>/dev/vfio/vfio.</summary>
internal sealed unsafe class FakeVfioContainer(FakeVfioKernel kernel) : FakeVfioSpace(kernel, "/dev/vfio/vfio")
{
    public List<FakeVfioGroup> Groups { get; } = [];

    public bool HasIommu { get; set; }

    protected override int Handle(uint request, nuint value)
    {
        switch (request)
        {
            case VfioRequests.VFIO_GET_API_VERSION:
                return Note(nameof(VfioRequests.VFIO_GET_API_VERSION)) is < 0 and var version ? version : Kernel.ApiVersion;
            case VfioRequests.VFIO_CHECK_EXTENSION:
                return Note(nameof(VfioRequests.VFIO_CHECK_EXTENSION)) is < 0 and var check ? check : Kernel.HasType1 && value == 3 ? 1 : 0;
            case VfioRequests.VFIO_SET_IOMMU:
                if (Note(nameof(VfioRequests.VFIO_SET_IOMMU)) is < 0 and var set)
                {
                    return set;
                }

                HasIommu = Groups.Count > 0 && !HasIommu;
                return HasIommu && value == 3 ? 0 : -Errno.EINVAL;
            default:
                return -Errno.ENOTTY;
        }
    }

    protected override int Handle(uint request, Span<byte> argument)
    {
        switch (HasIommu ? request : 0)
        {
            case VfioRequests.VFIO_IOMMU_GET_INFO:
                return Note(nameof(VfioRequests.VFIO_IOMMU_GET_INFO)) is < 0 and var refused ? refused : GetInfo(argument);
            case VfioRequests.VFIO_IOMMU_MAP_DMA:
                vfio_iommu_type1_dma_map map = As<vfio_iommu_type1_dma_map>(argument);
                return map.argsz != argument.Length || (map.flags & 1) == 0
                    ? -Errno.EINVAL
                    : Map(nameof(VfioRequests.VFIO_IOMMU_MAP_DMA), map.iova, map.size, map.vaddr, (map.flags & 2) != 0);
            case VfioRequests.VFIO_IOMMU_UNMAP_DMA:
                ref vfio_iommu_type1_dma_unmap unmap = ref As<vfio_iommu_type1_dma_unmap>(argument);
                int result = Unmap(nameof(VfioRequests.VFIO_IOMMU_UNMAP_DMA), unmap.iova, unmap.size, out ulong unmapped);
                unmap.size = unmapped;
                return result;
            default:
                return -Errno.EINVAL;
        }
    }

    protected override void Close() => Mappings.Clear();

    private int GetInfo(Span<byte> argument)
    {
        // Two capabilities, the one that is not asked for before the other.
        int availableAt = sizeof(vfio_iommu_type1_info);
        int rangesAt = availableAt + 16;
        byte[] full = new byte[rangesAt + sizeof(vfio_iommu_type1_info_cap_iova_range) + (Kernel.IovaRanges.Count * sizeof(vfio_iova_range))];
        As<vfio_iommu_type1_info>(full) = new() { flags = 3, iova_pgsizes = Kernel.PageSizes, cap_offset = (uint)availableAt };
        As<vfio_iommu_type1_info_dma_avail>(full.AsSpan(availableAt)) = new()
        {
            header = new() { id = 3, version = 1, next = (uint)rangesAt },
            avail = (uint)(Kernel.MappingLimit - Mappings.Count),
        };
        As<vfio_iommu_type1_info_cap_iova_range>(full.AsSpan(rangesAt)) = new()
        {
            header = new() { id = 1, version = 1 },
            nr_iovas = (uint)Kernel.IovaRanges.Count,
        };
        int at = rangesAt + sizeof(vfio_iommu_type1_info_cap_iova_range);
        foreach ((ulong first, ulong last) in Kernel.IovaRanges)
        {
            As<vfio_iova_range>(full.AsSpan(at)) = new() { start = first, end = last };
            at += sizeof(vfio_iova_range);
        }

        Kernel.Falsify?.Invoke(VfioRequests.VFIO_IOMMU_GET_INFO, 0, full);
        return Answer(argument, full, sizeof(vfio_iommu_type1_info), 16);
    }
}
