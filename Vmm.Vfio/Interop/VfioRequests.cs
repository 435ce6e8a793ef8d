namespace Vmm.Vfio.Interop;

/// <summary>
/// The ioctl requests of linux/vfio.h that this assembly uses, under the header's names. None carries a size: each structure starts with one.
/// </summary>
internal static class VfioRequests
{
    private const uint Base = (';' << 8) + 100;

    // Container: /dev/vfio/vfio.
    public const uint VFIO_GET_API_VERSION = Base + 0;
    public const uint VFIO_CHECK_EXTENSION = Base + 1;
    public const uint VFIO_SET_IOMMU = Base + 2;
    public const uint VFIO_IOMMU_GET_INFO = Base + 12;
    public const uint VFIO_IOMMU_MAP_DMA = Base + 13;
    public const uint VFIO_IOMMU_UNMAP_DMA = Base + 14;

    // Group: /dev/vfio/NUMBER.
    public const uint VFIO_GROUP_GET_STATUS = Base + 3;
    public const uint VFIO_GROUP_SET_CONTAINER = Base + 4;
    public const uint VFIO_GROUP_UNSET_CONTAINER = Base + 5;
    public const uint VFIO_GROUP_GET_DEVICE_FD = Base + 6;

    // Device.
    public const uint VFIO_DEVICE_GET_INFO = Base + 7;
    public const uint VFIO_DEVICE_GET_REGION_INFO = Base + 8;
    public const uint VFIO_DEVICE_GET_IRQ_INFO = Base + 9;
    public const uint VFIO_DEVICE_SET_IRQS = Base + 10;
    public const uint VFIO_DEVICE_RESET = Base + 11;
    public const uint VFIO_DEVICE_GET_PCI_HOT_RESET_INFO = Base + 12;
    public const uint VFIO_DEVICE_PCI_HOT_RESET = Base + 13;
}
