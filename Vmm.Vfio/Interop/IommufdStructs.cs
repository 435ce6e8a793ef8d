using System.Runtime.InteropServices;

namespace Vmm.Vfio.Interop;

[StructLayout(LayoutKind.Sequential)]
internal struct iommu_ioas_alloc
{
    public uint size;
    public uint flags;
    public uint out_ioas_id;
}

/// <summary>First and last address.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct iommu_iova_range
{
    public ulong start;
    public ulong last;
}

[StructLayout(LayoutKind.Sequential)]
internal struct iommu_ioas_iova_ranges
{
    public uint size;
    public uint ioas_id;
    public uint num_iovas;
    public uint reserved;
    public ulong allowed_iovas;
    public ulong out_iova_alignment;
}

[StructLayout(LayoutKind.Sequential)]
internal struct iommu_ioas_map
{
    public uint size;
    public uint flags;
    public uint ioas_id;
    public uint reserved;
    public ulong user_va;
    public ulong length;
    public ulong iova;
}

[StructLayout(LayoutKind.Sequential)]
internal struct iommu_ioas_unmap
{
    public uint size;
    public uint ioas_id;
    public ulong iova;
    public ulong length;
}

[StructLayout(LayoutKind.Sequential)]
internal struct vfio_device_bind_iommufd
{
    public uint argsz;
    public uint flags;
    public int iommufd;
    public uint out_devid;
}

[StructLayout(LayoutKind.Sequential)]
internal struct vfio_device_attach_iommufd_pt
{
    public uint argsz;
    public uint flags;
    public uint pt_id;
}
