namespace Vmm.Vfio.Interop;

/// <summary>Requests and flags of linux/iommufd.h, and those of linux/vfio.h that came with it (Linux 6.6), under the headers' names.</summary>
internal static class IommufdRequests
{
    private const uint Base = (';' << 8) + 0x80;

    // /dev/iommu.
    public const uint IOMMU_IOAS_ALLOC = Base + 1;
    public const uint IOMMU_IOAS_IOVA_RANGES = Base + 4;
    public const uint IOMMU_IOAS_MAP = Base + 5;
    public const uint IOMMU_IOAS_UNMAP = Base + 6;

    public const uint IOMMU_IOAS_MAP_FIXED_IOVA = 1 << 0;
    public const uint IOMMU_IOAS_MAP_WRITEABLE = 1 << 1;
    public const uint IOMMU_IOAS_MAP_READABLE = 1 << 2;

    // A device opened by itself: /dev/vfio/devices/vfioNUMBER.
    public const uint VFIO_DEVICE_BIND_IOMMUFD = (';' << 8) + 118;
    public const uint VFIO_DEVICE_ATTACH_IOMMUFD_PT = (';' << 8) + 119;

    /// <summary>Of vfio_pci_hot_reset_info: the devices are named by their number in the context.</summary>
    public const uint VFIO_PCI_HOT_RESET_FLAG_DEV_ID = 1 << 0;

    /// <summary>Of vfio_pci_hot_reset_info: all of the devices are in our hands.</summary>
    public const uint VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED = 1 << 1;

    /// <summary>Instead of a number: the device is not in our hands.</summary>
    public const uint VFIO_PCI_DEVID_NOT_OWNED = 0xffff_ffff;
}
