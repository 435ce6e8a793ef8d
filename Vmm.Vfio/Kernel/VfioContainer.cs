using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Vfio.Interop;

namespace Vmm.Vfio.Kernel;

/// <summary>A container of groups that share one I/O address space: the type 1 IOMMU, version 2.</summary>
internal sealed unsafe class VfioContainer : DmaAddressSpace
{
    private const string Node = "/dev/vfio/vfio";

    private bool _hasIommu;

    private VfioContainer(IVfioCalls calls, IKernelFile file)
        : base(calls, file, Node)
    {
    }

    public override bool CanMapDevices => true;

    protected override string MapStep => nameof(VfioRequests.VFIO_IOMMU_MAP_DMA);

    protected override string UnmapStep => nameof(VfioRequests.VFIO_IOMMU_UNMAP_DMA);

    /// <summary>Opens an empty container.</summary>
    /// <exception cref="VfioException">The kernel has none, or none of this kind.</exception>
    public static VfioContainer Open(IVfioCalls calls)
    {
        IKernelFile file = calls.Open(Node, out int errno)
            ?? throw Refusal.Open(Node, errno, "there is no VFIO: modprobe vfio-pci (a container needs --device /dev/vfio)");
        try
        {
            int version = file.Ioctl(VfioRequests.VFIO_GET_API_VERSION, 0);
            if (version != VfioConstants.VFIO_API_VERSION)
            {
                throw Refusal.Of(
                    nameof(VfioRequests.VFIO_GET_API_VERSION), Node, Math.Min(version, 0),
                    $"the kernel speaks version {version}, this library {VfioConstants.VFIO_API_VERSION}");
            }

            int type1 = file.Ioctl(VfioRequests.VFIO_CHECK_EXTENSION, VfioConstants.VFIO_TYPE1v2_IOMMU);
            if (type1 <= 0)
            {
                throw Refusal.Of(
                    nameof(VfioRequests.VFIO_CHECK_EXTENSION), Node, type1,
                    "the kernel has no type 1 IOMMU driver, version 2: modprobe vfio_iommu_type1");
            }

            return new VfioContainer(calls, file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Puts a group in; the first brings the IOMMU.</summary>
    /// <exception cref="VfioException">The kernel refuses; the group is in no container.</exception>
    public void Add(VfioGroup group)
    {
        Span<byte> number = stackalloc byte[sizeof(int)];
        MemoryMarshal.Write(number, File.Number);
        int result = group.File.Ioctl(VfioRequests.VFIO_GROUP_SET_CONTAINER, number);
        if (result < 0)
        {
            throw Refusal.Of(nameof(VfioRequests.VFIO_GROUP_SET_CONTAINER), group.Path, result, ExplainAttach(-result, group));
        }

        try
        {
            if (!_hasIommu)
            {
                result = File.Ioctl(VfioRequests.VFIO_SET_IOMMU, VfioConstants.VFIO_TYPE1v2_IOMMU);
                if (result < 0)
                {
                    throw Refusal.Of(nameof(VfioRequests.VFIO_SET_IOMMU), group.Path, result, ExplainAttach(-result, group));
                }
            }

            Refresh();
            _hasIommu = true;
        }
        catch
        {
            Remove(group);
            throw;
        }
    }

    /// <summary>Takes a group out, whose devices are closed. With the last one all mappings go: the container is then disposed.</summary>
    public static void Remove(VfioGroup group)
    {
        // Closing the group's descriptor, which follows, does the same.
        _ = group.File.Ioctl(VfioRequests.VFIO_GROUP_UNSET_CONTAINER, 0);
    }

    /// <summary>Asks again what can be mapped; other groups may have made it less or more.</summary>
    /// <exception cref="VfioException">The kernel refuses, or answers nonsense.</exception>
    public void Refresh()
    {
        var ranges = new List<GuestRange>();
        byte[] answer = Ask(out vfio_iommu_type1_info info, out IReadOnlyList<(ushort Id, int Offset)>? chain);
        foreach ((ushort id, int offset) in chain)
        {
            if (id == VfioConstants.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
            {
                vfio_iova_range[]? read = InfoQuery.TryRead(answer, offset, out vfio_iommu_type1_info_cap_iova_range header)
                    ? InfoQuery.ReadArray<vfio_iova_range>(answer, offset + sizeof(vfio_iommu_type1_info_cap_iova_range), header.nr_iovas)
                    : null;
                ranges.AddRange((read ?? throw Nonsense()).Select(range => IovaRange.FromLimits(range.start, range.end) ?? throw Nonsense()));
            }
        }

        // Kernels before 5.4 do not say; the refusal of a mapping does.
        GuestRange everything = IovaRange.FromLimits(0, ulong.MaxValue)!.Value;
        bool hasSizes = (info.flags & VfioConstants.VFIO_IOMMU_INFO_PGSIZES) != 0 && info.iova_pgsizes != 0;
        SetLimits(
            ranges.Count == 0 ? [everything] : [.. ranges],
            hasSizes ? 1ul << BitOperations.TrailingZeroCount(info.iova_pgsizes) : (ulong)Environment.SystemPageSize);
    }

    protected override int MapCore(ulong iova, nuint host, ulong length, bool writable)
    {
        var map = new vfio_iommu_type1_dma_map
        {
            argsz = (uint)sizeof(vfio_iommu_type1_dma_map),
            flags = VfioConstants.VFIO_DMA_MAP_FLAG_READ | (writable ? VfioConstants.VFIO_DMA_MAP_FLAG_WRITE : 0),
            vaddr = host,
            iova = iova,
            size = length,
        };
        return File.Ioctl(VfioRequests.VFIO_IOMMU_MAP_DMA, new Span<byte>(&map, sizeof(vfio_iommu_type1_dma_map)));
    }

    protected override int UnmapCore(ulong iova, ulong length, out ulong unmapped)
    {
        var unmap = new vfio_iommu_type1_dma_unmap { argsz = (uint)sizeof(vfio_iommu_type1_dma_unmap), iova = iova, size = length };
        int result = File.Ioctl(VfioRequests.VFIO_IOMMU_UNMAP_DMA, new Span<byte>(&unmap, sizeof(vfio_iommu_type1_dma_unmap)));
        unmapped = result < 0 ? 0 : unmap.size;
        return result;
    }

    protected override string ExplainLimit()
    {
        return TryGetAvailable() is uint available
            ? $"the kernel allows {available} more: raise the limit (parameter dma_entry_limit of module vfio_iommu_type1)"
            : "the kernel allows no more: raise the limit (parameter dma_entry_limit of module vfio_iommu_type1)";
    }

    private static string ExplainAttach(int errno, VfioGroup group)
    {
        return errno switch
        {
            Errno.EPERM => "without interrupt remapping VFIO refuses devices, which could send any interrupt: "
                + "enable it (firmware, intremap=on of an emulated IOMMU); "
                + "for guests that you trust, parameter allow_unsafe_interrupts=1 of module vfio_iommu_type1",
            Errno.EBUSY => $"group {group.Number} is in use by another container or by the kernel",
            Errno.EINVAL => "the IOMMU of this group does not go with the others of the container, or with what is mapped in it",
            Errno.ENODEV =>
                "no IOMMU driver takes the group: enable the IOMMU (intel_iommu=on on the kernel's command line), modprobe vfio_iommu_type1",
            Errno.ENOMEM => "the memory that is mapped cannot be mapped for this group too",
            _ => "refused",
        };
    }

    private uint? TryGetAvailable()
    {
        try
        {
            byte[] answer = Ask(out _, out IReadOnlyList<(ushort Id, int Offset)>? chain);
            foreach ((ushort id, int offset) in chain)
            {
                if (id == VfioConstants.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL
                    && InfoQuery.TryRead(answer, offset, out vfio_iommu_type1_info_dma_avail available))
                {
                    return available.avail;
                }
            }
        }
        catch (VfioException)
        {
            // It was only for a better message.
        }

        return null;
    }

    private byte[] Ask(out vfio_iommu_type1_info info, out IReadOnlyList<(ushort Id, int Offset)> chain)
    {
        int result = InfoQuery.Ask(File, VfioRequests.VFIO_IOMMU_GET_INFO, default(vfio_iommu_type1_info), out byte[] answer);
        if (result < 0)
        {
            throw Refusal.Of(nameof(VfioRequests.VFIO_IOMMU_GET_INFO), Path, result, "the IOMMU does not say what can be mapped");
        }

        info = MemoryMarshal.Read<vfio_iommu_type1_info>(answer);
        bool hasChain = (info.flags & VfioConstants.VFIO_IOMMU_INFO_CAPS) != 0;
        chain = InfoQuery.Walk(answer, sizeof(vfio_iommu_type1_info), hasChain ? info.cap_offset : 0) ?? throw Nonsense();
        return answer;
    }

    private VfioException Nonsense()
    {
        return new VfioException(nameof(VfioRequests.VFIO_IOMMU_GET_INFO), Path, 0, "the kernel's answer contradicts itself");
    }
}
