using System;
using Vmm.DeviceModel.Interop;
using Vmm.Vfio.Interop;

namespace Vmm.Tests.Fakes;

/// <summary>/dev/iommu.</summary>
internal sealed unsafe class FakeIommufd(FakeVfioKernel kernel) : FakeVfioSpace(kernel, "/dev/iommu")
{
    public const uint Space = 7;

    protected override int Handle(uint request, Span<byte> argument)
    {
        switch (request)
        {
            case IommufdRequests.IOMMU_IOAS_ALLOC:
                As<iommu_ioas_alloc>(argument).out_ioas_id = Space;
                return Note(nameof(IommufdRequests.IOMMU_IOAS_ALLOC));
            case IommufdRequests.IOMMU_IOAS_IOVA_RANGES:
                return Note(nameof(IommufdRequests.IOMMU_IOAS_IOVA_RANGES)) is < 0 and var refused
                    ? refused
                    : GetRanges(ref As<iommu_ioas_iova_ranges>(argument));
            case IommufdRequests.IOMMU_IOAS_MAP:
                iommu_ioas_map map = As<iommu_ioas_map>(argument);
                return map.size != argument.Length || map.ioas_id != Space || (map.flags & 5) != 5
                    ? -Errno.EINVAL
                    : Map(nameof(IommufdRequests.IOMMU_IOAS_MAP), map.iova, map.length, map.user_va, (map.flags & 2) != 0);
            case IommufdRequests.IOMMU_IOAS_UNMAP:
                ref iommu_ioas_unmap unmap = ref As<iommu_ioas_unmap>(argument);
                int result = Unmap(nameof(IommufdRequests.IOMMU_IOAS_UNMAP), unmap.iova, unmap.length, out ulong unmapped);
                unmap.length = unmapped;
                return result;
            default:
                return -Errno.ENOTTY;
        }
    }

    protected override void Close() => Mappings.Clear();

    private int GetRanges(ref iommu_ioas_iova_ranges question)
    {
        uint room = question.num_iovas;
        question.num_iovas = (uint)Kernel.IovaRanges.Count;
        question.out_iova_alignment = 0x1000;
        for (int i = 0; i < Math.Min(Kernel.IovaRanges.Count, (int)room); i++)
        {
            ((iommu_iova_range*)question.allowed_iovas)[i] = new() { start = Kernel.IovaRanges[i].First, last = Kernel.IovaRanges[i].Last };
        }

        return room < question.num_iovas ? -Errno.EMSGSIZE : 0;
    }
}
