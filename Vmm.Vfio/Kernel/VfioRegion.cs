using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Vfio.Interop;

namespace Vmm.Vfio.Kernel;

/// <summary>A region of a device, and where it lies in the device's file.</summary>
/// <param name="Info">What the kernel says of it.</param>
/// <param name="FileOffset">Offset of its first byte in the file.</param>
internal sealed unsafe record VfioRegion(BackendRegion Info, ulong FileOffset)
{
    private const string Step = nameof(VfioRequests.VFIO_DEVICE_GET_REGION_INFO);

    /// <summary>A region that is not there.</summary>
    public static VfioRegion Absent { get; } = new(new BackendRegion { Size = 0 }, 0);

    /// <summary>Asks for a region.</summary>
    /// <param name="file">The device.</param>
    /// <param name="name">Its name, for messages.</param>
    /// <param name="index">Which region.</param>
    /// <exception cref="VfioException">The kernel refuses, or answers nonsense.</exception>
    public static VfioRegion Read(IKernelFile file, string name, PciRegionIndex index)
    {
        int result = InfoQuery.Ask(file, VfioRequests.VFIO_DEVICE_GET_REGION_INFO, new vfio_region_info { index = (uint)index }, out byte[] answer);
        if (result < 0)
        {
            throw Refusal.Of(Step, name, result, $"region {index} does not answer");
        }

        vfio_region_info info = MemoryMarshal.Read<vfio_region_info>(answer);
        if (info.size == 0)
        {
            return Absent;
        }

        if (!GuestRange.Fits(info.offset, info.size, long.MaxValue))
        {
            throw new VfioException(Step, name, 0, $"region {index} of 0x{info.size:x} bytes at 0x{info.offset:x} cannot lie in a file");
        }

        bool canMap = (info.flags & VfioConstants.VFIO_REGION_INFO_FLAG_MMAP) != 0;
        bool tableIsMappable = false;
        IReadOnlyList<RegionArea> areas = canMap ? [new RegionArea(0, info.size)] : [];
        uint chain = (info.flags & VfioConstants.VFIO_REGION_INFO_FLAG_CAPS) != 0 ? info.cap_offset : 0;
        foreach ((ushort id, int offset) in InfoQuery.Walk(answer, sizeof(vfio_region_info), chain) ?? throw Nonsense(name, index))
        {
            if (id == VfioConstants.VFIO_REGION_INFO_CAP_SPARSE_MMAP && canMap)
            {
                areas = ReadAreas(answer, offset, info.size) ?? throw Nonsense(name, index);
            }

            tableIsMappable |= id == VfioConstants.VFIO_REGION_INFO_CAP_MSIX_MAPPABLE;
        }

        var description = new BackendRegion
        {
            Size = info.size,
            CanRead = (info.flags & VfioConstants.VFIO_REGION_INFO_FLAG_READ) != 0,
            CanWrite = (info.flags & VfioConstants.VFIO_REGION_INFO_FLAG_WRITE) != 0,
            MappableAreas = areas,
            TableIsMappable = tableIsMappable,
        };
        return new VfioRegion(description, info.offset);
    }

    private static RegionArea[]? ReadAreas(byte[] answer, int offset, ulong size)
    {
        if (!InfoQuery.TryRead(answer, offset, out vfio_region_info_cap_sparse_mmap header))
        {
            return null;
        }

        vfio_region_sparse_mmap_area[]? areas = InfoQuery.ReadArray<vfio_region_sparse_mmap_area>(
            answer, offset + sizeof(vfio_region_info_cap_sparse_mmap), header.nr_areas);
        return areas is null || areas.Any(area => !GuestRange.Fits(area.offset, area.size, size))
            ? null
            : [.. areas.Where(area => area.size != 0).Select(area => new RegionArea(area.offset, area.size))];
    }

    private static VfioException Nonsense(string name, PciRegionIndex index)
    {
        return new VfioException(Step, name, 0, $"what the kernel says of region {index} contradicts itself");
    }
}
