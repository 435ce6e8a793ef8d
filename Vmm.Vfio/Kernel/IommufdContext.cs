using System;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Vfio.Interop;

namespace Vmm.Vfio.Kernel;

/// <summary>An iommufd with one I/O address space, for devices that are opened by themselves and not through their group.</summary>
internal sealed unsafe class IommufdContext : DmaAddressSpace
{
    public const string Node = "/dev/iommu";

    private const int Rounds = 8;
    private const uint MaximumRanges = 1 << 16;

    private readonly uint _space;

    private IommufdContext(IVfioCalls calls, IKernelFile file, uint space)
        : base(calls, file, Node)
    {
        _space = space;
    }

    /// <summary>False: an iommufd pins pages of memory, and a BAR has none.</summary>
    public override bool CanMapDevices => false;

    protected override string MapStep => nameof(IommufdRequests.IOMMU_IOAS_MAP);

    protected override string UnmapStep => nameof(IommufdRequests.IOMMU_IOAS_UNMAP);

    /// <summary>Opens a context with an empty address space.</summary>
    /// <exception cref="VfioException">The kernel refuses.</exception>
    public static IommufdContext Open(IVfioCalls calls)
    {
        IKernelFile file = calls.Open(Node, out int errno) ?? throw Refusal.Open(Node, errno, "the kernel has no iommufd: modprobe iommufd");
        var alloc = new iommu_ioas_alloc { size = (uint)sizeof(iommu_ioas_alloc) };
        int result = file.Ioctl(IommufdRequests.IOMMU_IOAS_ALLOC, new Span<byte>(&alloc, sizeof(iommu_ioas_alloc)));
        if (result < 0)
        {
            file.Dispose();
            throw Refusal.Of(nameof(IommufdRequests.IOMMU_IOAS_ALLOC), Node, result, "cannot make an I/O address space");
        }

        return new IommufdContext(calls, file, alloc.out_ioas_id);
    }

    /// <summary>Binds an open device to the context and attaches it to the address space. Closing the device undoes both.</summary>
    /// <param name="device">The device.</param>
    /// <param name="path">Its node.</param>
    /// <exception cref="VfioException">The kernel refuses; the device is to be closed.</exception>
    public void Add(IKernelFile device, string path)
    {
        var bind = new vfio_device_bind_iommufd { argsz = (uint)sizeof(vfio_device_bind_iommufd), iommufd = File.Number };
        int result = device.Ioctl(IommufdRequests.VFIO_DEVICE_BIND_IOMMUFD, new Span<byte>(&bind, sizeof(vfio_device_bind_iommufd)));
        if (result < 0)
        {
            string detail = -result switch
            {
                Errno.EBUSY => "in use: its group is open, in another process perhaps, or one of its devices has another driver",
                Errno.EPERM => "without interrupt remapping VFIO refuses devices, which could send any interrupt: "
                    + "enable it (firmware, intremap=on of an emulated IOMMU)",
                _ => "cannot bind the device to an iommufd",
            };
            throw Refusal.Of(nameof(IommufdRequests.VFIO_DEVICE_BIND_IOMMUFD), path, result, detail);
        }

        var attach = new vfio_device_attach_iommufd_pt { argsz = (uint)sizeof(vfio_device_attach_iommufd_pt), pt_id = _space };
        result = device.Ioctl(IommufdRequests.VFIO_DEVICE_ATTACH_IOMMUFD_PT, new Span<byte>(&attach, sizeof(vfio_device_attach_iommufd_pt)));
        if (result < 0)
        {
            string detail = -result switch
            {
                Errno.EADDRINUSE => "what is mapped lies in addresses that are reserved for this device",
                Errno.EPERM => "without interrupt remapping VFIO refuses devices, which could send any interrupt: "
                    + "enable it (firmware, intremap=on of an emulated IOMMU)",
                _ => "the IOMMU of this device does not go with the address space",
            };
            throw Refusal.Of(nameof(IommufdRequests.VFIO_DEVICE_ATTACH_IOMMUFD_PT), path, result, detail);
        }

        Refresh();
    }

    /// <summary>Asks again what can be mapped.</summary>
    /// <exception cref="VfioException">The kernel refuses, or answers nonsense.</exception>
    public void Refresh()
    {
        uint count = 16;
        for (int round = 0; round < Rounds && count <= MaximumRanges; round++)
        {
            var found = new iommu_iova_range[count];
            iommu_ioas_iova_ranges question;
            int result;
            fixed (iommu_iova_range* pointer = found)
            {
                question = new iommu_ioas_iova_ranges
                {
                    size = (uint)sizeof(iommu_ioas_iova_ranges),
                    ioas_id = _space,
                    num_iovas = count,
                    allowed_iovas = (ulong)pointer,
                };
                result = File.Ioctl(IommufdRequests.IOMMU_IOAS_IOVA_RANGES, new Span<byte>(&question, sizeof(iommu_ioas_iova_ranges)));
            }

            if (result >= 0 && question.num_iovas <= count)
            {
                Take(found.AsSpan(0, (int)question.num_iovas), question.out_iova_alignment);
                return;
            }

            if (result < 0 && result != -Errno.EMSGSIZE)
            {
                throw Refusal.Of(nameof(IommufdRequests.IOMMU_IOAS_IOVA_RANGES), Node, result, "the IOMMU does not say what can be mapped");
            }

            count = question.num_iovas;
        }

        throw Nonsense();
    }

    protected override int MapCore(ulong iova, nuint host, ulong length, bool writable)
    {
        var map = new iommu_ioas_map
        {
            size = (uint)sizeof(iommu_ioas_map),
            flags = IommufdRequests.IOMMU_IOAS_MAP_FIXED_IOVA | IommufdRequests.IOMMU_IOAS_MAP_READABLE
                | (writable ? IommufdRequests.IOMMU_IOAS_MAP_WRITEABLE : 0),
            ioas_id = _space,
            user_va = host,
            length = length,
            iova = iova,
        };
        return File.Ioctl(IommufdRequests.IOMMU_IOAS_MAP, new Span<byte>(&map, sizeof(iommu_ioas_map)));
    }

    protected override int UnmapCore(ulong iova, ulong length, out ulong unmapped)
    {
        var unmap = new iommu_ioas_unmap { size = (uint)sizeof(iommu_ioas_unmap), ioas_id = _space, iova = iova, length = length };
        int result = File.Ioctl(IommufdRequests.IOMMU_IOAS_UNMAP, new Span<byte>(&unmap, sizeof(iommu_ioas_unmap)));
        unmapped = result < 0 ? 0 : unmap.length;
        return result;
    }

    protected override string ExplainLimit() => "the kernel allows no more";

    private void Take(ReadOnlySpan<iommu_iova_range> found, ulong alignment)
    {
        var ranges = new GuestRange[found.Length];
        for (int i = 0; i < ranges.Length; i++)
        {
            ranges[i] = IovaRange.FromLimits(found[i].start, found[i].last) ?? throw Nonsense();
        }

        // Single bytes can be mapped for some devices; we map pages.
        ulong granularity = Math.Max(alignment, (ulong)Environment.SystemPageSize);
        SetLimits(ranges, System.Numerics.BitOperations.IsPow2(granularity) ? granularity : throw Nonsense());
    }

    private static VfioException Nonsense()
    {
        return new VfioException(nameof(IommufdRequests.IOMMU_IOAS_IOVA_RANGES), Node, 0, "the kernel's answer contradicts itself");
    }
}
