using Vmm.DeviceModel;

namespace Vmm.Pci.Access;

/// <summary>
/// The kernel allows no more mappings of memory for devices (DRV-8): map fewer and larger ranges, or raise the limit that the message names.
/// </summary>
public sealed class DmaMappingLimitException : HostException
{
    /// <summary>Says how many mappings there are, and how more can be had.</summary>
    /// <param name="step">The call that failed, for example <c>VFIO_IOMMU_MAP_DMA</c>.</param>
    /// <param name="path">The file that it was about.</param>
    /// <param name="errno">The kernel's error number.</param>
    /// <param name="mappings">Mappings that are there.</param>
    /// <param name="detail">The limit, and what raises it.</param>
    public DmaMappingLimitException(string step, string path, int errno, int mappings, string detail)
        : base($"{path}: {step}: {mappings} mappings are there and {detail}, or map fewer and larger ranges ({Describe(errno)})", step, path, errno)
    {
        Mappings = mappings;
    }

    /// <summary>Mappings that were there.</summary>
    public int Mappings { get; }
}
