using System;
using System.Runtime.CompilerServices;
using Vmm.Vfio.Interop;

namespace Vmm.Tests.Interop;

/// <summary>
/// Everything that we give to and take from /dev/vfio, against linux/vfio.h; what is younger than the headers at hand, against its published numbers.
/// </summary>
public sealed class VfioHeaderTests
{
    [CompilerFact]
    public void Requests_and_constants_are_those_of_the_header()
    {
        new CHeaderCheck("linux/vfio.h").Constants(typeof(VfioRequests), IsVfio).Constants(typeof(VfioConstants), IsVfio).Run();
    }

    [CompilerFact]
    public void Structures_have_the_headers_layout()
    {
        new CHeaderCheck("linux/vfio.h")
            .Struct<vfio_info_cap_header>("struct vfio_info_cap_header")
            .Struct<vfio_group_status>("struct vfio_group_status")
            .Struct<vfio_device_info>("struct vfio_device_info")
            .Struct<vfio_region_info>("struct vfio_region_info")
            .Struct<vfio_region_info_cap_sparse_mmap>("struct vfio_region_info_cap_sparse_mmap")
            .Struct<vfio_region_sparse_mmap_area>("struct vfio_region_sparse_mmap_area")
            .Struct<vfio_irq_info>("struct vfio_irq_info")
            .Struct<vfio_irq_set>("struct vfio_irq_set")
            .Struct<vfio_pci_dependent_device>("struct vfio_pci_dependent_device")
            .Struct<vfio_pci_hot_reset_info>("struct vfio_pci_hot_reset_info")
            .Struct<vfio_pci_hot_reset>("struct vfio_pci_hot_reset")
            .Struct<vfio_iommu_type1_info>("struct vfio_iommu_type1_info")
            .Struct<vfio_iommu_type1_info_cap_iova_range>("struct vfio_iommu_type1_info_cap_iova_range")
            .Struct<vfio_iova_range>("struct vfio_iova_range")
            .Struct<vfio_iommu_type1_info_dma_avail>("struct vfio_iommu_type1_info_dma_avail")
            .Struct<vfio_iommu_type1_dma_map>("struct vfio_iommu_type1_dma_map")
            .Struct<vfio_iommu_type1_dma_unmap>("struct vfio_iommu_type1_dma_unmap")
            .Run();
    }

    [CompilerFact]
    public void Regions_and_interrupts_are_numbered_as_in_the_header()
    {
        new CHeaderCheck("linux/vfio.h")
            .Equal("VFIO_PCI_BAR0_REGION_INDEX", (long)Vmm.Pci.Access.PciRegionIndex.Bar0)
            .Equal("VFIO_PCI_BAR5_REGION_INDEX", (long)Vmm.Pci.Access.PciRegionIndex.Bar5)
            .Equal("VFIO_PCI_ROM_REGION_INDEX", (long)Vmm.Pci.Access.PciRegionIndex.Rom)
            .Equal("VFIO_PCI_CONFIG_REGION_INDEX", (long)Vmm.Pci.Access.PciRegionIndex.Configuration)
            .Equal("VFIO_PCI_INTX_IRQ_INDEX", (long)Vmm.Pci.Access.PciInterruptIndex.Pin)
            .Equal("VFIO_PCI_MSI_IRQ_INDEX", (long)Vmm.Pci.Access.PciInterruptIndex.Msi)
            .Equal("VFIO_PCI_MSIX_IRQ_INDEX", (long)Vmm.Pci.Access.PciInterruptIndex.Msix)
            .Equal("VFIO_PCI_ERR_IRQ_INDEX", (long)Vmm.Pci.Access.PciInterruptIndex.Error)
            .Equal("VFIO_PCI_REQ_IRQ_INDEX", (long)Vmm.Pci.Access.PciInterruptIndex.Request)
            .Run();
    }

    /// <summary>The header of Linux 6.6: IOMMUFD_CMD_BASE is 0x80, VFIO_BASE is 100, both under the type ';'.</summary>
    [Theory]
    [InlineData(IommufdRequests.IOMMU_IOAS_ALLOC, 0x3b81)]
    [InlineData(IommufdRequests.IOMMU_IOAS_IOVA_RANGES, 0x3b84)]
    [InlineData(IommufdRequests.IOMMU_IOAS_MAP, 0x3b85)]
    [InlineData(IommufdRequests.IOMMU_IOAS_UNMAP, 0x3b86)]
    [InlineData(IommufdRequests.VFIO_DEVICE_BIND_IOMMUFD, 0x3b76)]
    [InlineData(IommufdRequests.VFIO_DEVICE_ATTACH_IOMMUFD_PT, 0x3b77)]
    [InlineData(IommufdRequests.IOMMU_IOAS_MAP_FIXED_IOVA, 1)]
    [InlineData(IommufdRequests.IOMMU_IOAS_MAP_WRITEABLE, 2)]
    [InlineData(IommufdRequests.IOMMU_IOAS_MAP_READABLE, 4)]
    public void Requests_of_iommufd_have_their_published_numbers(uint request, uint number)
    {
        request.Should().Be(number);
    }

    [Fact]
    public void Flags_of_a_hot_reset_have_their_published_values()
    {
        (
            IommufdRequests.VFIO_PCI_HOT_RESET_FLAG_DEV_ID, IommufdRequests.VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED,
            IommufdRequests.VFIO_PCI_DEVID_NOT_OWNED)
            .Should().Be((1u, 2u, uint.MaxValue));
    }

    [Fact]
    public void Structures_of_iommufd_have_their_published_sizes()
    {
        Unsafe.SizeOf<iommu_ioas_alloc>().Should().Be(12);
        Unsafe.SizeOf<iommu_iova_range>().Should().Be(16);
        Unsafe.SizeOf<iommu_ioas_iova_ranges>().Should().Be(32);
        Unsafe.SizeOf<iommu_ioas_map>().Should().Be(40);
        Unsafe.SizeOf<iommu_ioas_unmap>().Should().Be(24);
        Unsafe.SizeOf<vfio_device_bind_iommufd>().Should().Be(16, "the first version; later ones are longer and take this one too");
        Unsafe.SizeOf<vfio_device_attach_iommufd_pt>().Should().Be(12);
    }

    private static bool IsVfio(string name) => name.StartsWith("VFIO_", StringComparison.Ordinal);
}
