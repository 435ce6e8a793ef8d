using System.Linq;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>The way to a device and back: groups, containers, devices that are opened by themselves.</summary>
[Trait("Behaviour", "VFIO-1")]
public sealed class AttachTests
{
    [Fact]
    public void A_device_is_reached_through_its_group_in_the_kernels_order()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();

        using VfioPciDevice device = kernel.Attach();

        device.Name.Should().Be("0000:00:10.0");
        device.Group.Should().Be(5);
        device.UsesIommufd.Should().BeFalse();
        kernel.Log.Take(9).Should().Equal(
            "open /dev/vfio/5",
            "VFIO_GROUP_GET_STATUS /dev/vfio/5",
            "open /dev/vfio/vfio",
            "VFIO_GET_API_VERSION /dev/vfio/vfio",
            "VFIO_CHECK_EXTENSION /dev/vfio/vfio",
            "VFIO_GROUP_SET_CONTAINER /dev/vfio/5",
            "VFIO_SET_IOMMU /dev/vfio/vfio",
            "VFIO_IOMMU_GET_INFO /dev/vfio/vfio",
            "VFIO_IOMMU_GET_INFO /dev/vfio/vfio");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-10")]
    public void Giving_a_device_back_takes_it_off_the_bus_then_has_it_reset_by_closing_it_and_only_then_unmaps_memory()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController();
        using var ram = HostMemory.AllocateAnonymous(0x10000);
        var memory = new GuestMemory();
        memory.Add(0, ram, 0, ram.Length);
        VfioPciDevice device = new VfioHost(kernel, memory).Attach(fake.Path);
        fake.Configuration.Bytes[4] = 0x07;
        using var trigger = new EventFd();
        device.SetTriggers(PciInterruptIndex.Msix, 0, [trigger]);
        int before = kernel.Log.Count;
        fake.Accesses.Clear();

        device.Dispose();

        kernel.Log.Skip(before).Should().Equal(
            "VFIO_DEVICE_SET_IRQS 0000:00:10.0 Msix trigger 0+0",
            "close 0000:00:10.0",
            "VFIO_IOMMU_UNMAP_DMA /dev/vfio/vfio 0x0+0x10000",
            "VFIO_GROUP_UNSET_CONTAINER /dev/vfio/5",
            "close /dev/vfio/5",
            "close /dev/vfio/vfio");
        fake.Accesses.Should().Contain((PciRegionIndex.Configuration, 4ul, 2, (ulong?)0x03), "bus mastering ends first");
        kernel.ShouldHoldNothing();
    }

    [Fact]
    public void Disposing_twice_gives_back_once()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();
        kernel.AddController("0000:00:11.0", 6);
        var host = new VfioHost(kernel);
        VfioPciDevice first = host.Attach(kernel.Devices[0].Path);
        using VfioPciDevice second = host.Attach(kernel.Devices[1].Path);

        first.Dispose();
        first.Dispose();

        host.AddressSpaces.Should().Be(1);
        kernel.Spaces.Should().ContainSingle();
    }

    [Fact]
    public void Devices_of_one_host_share_a_container_and_those_of_one_group_the_group()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();
        kernel.AddController("0000:00:11.0", 6);
        kernel.AddController("0000:00:11.1", 6);
        var host = new VfioHost(kernel);

        VfioPciDevice[] devices = [.. kernel.Devices.Select(device => host.Attach(device.Path))];

        host.AddressSpaces.Should().Be(1);
        devices.Select(device => device.Dma).Distinct().Should().ContainSingle();
        kernel.CountOf("open /dev/vfio/vfio").Should().Be(1);
        kernel.CountOf("open /dev/vfio/6").Should().Be(1);
        kernel.CountOf("VFIO_SET_IOMMU").Should().Be(1);

        devices[1].Dispose();
        kernel.CountOf("close /dev/vfio/6").Should().Be(0, "the other device of the group needs it");
        devices[2].Dispose();
        kernel.CountOf("close /dev/vfio/6").Should().Be(1);
        kernel.CountOf("close /dev/vfio/vfio").Should().Be(0);
        devices[0].Dispose();
        kernel.ShouldHoldNothing();
        host.AddressSpaces.Should().Be(0);
    }

    [Fact]
    public void A_group_that_does_not_go_with_the_others_gets_a_container_of_its_own_with_guest_memory()
    {
        var kernel = new FakeVfioKernel { CanMerge = group => group != 6 };
        kernel.AddController();
        kernel.AddController("0000:00:11.0", 6);
        kernel.AddController("0000:00:12.0", 7);
        using var ram = HostMemory.AllocateAnonymous(0x10000);
        var memory = new GuestMemory();
        memory.Add(0x1000, ram, 0, ram.Length);
        var log = new ListLogger();
        var host = new VfioHost(kernel, memory, null, log);

        VfioPciDevice[] devices = [.. kernel.Devices.Select(device => host.Attach(device.Path))];

        host.AddressSpaces.Should().Be(2);
        devices[1].Dma.Should().NotBe(devices[0].Dma);
        devices[2].Dma.Should().Be(devices[0].Dma);
        kernel.Spaces.Should().OnlyContain(space => space.Mappings.Count == 1 && space.Mappings.ContainsKey(0x1000));
        log.Entries.Should().ContainSingle(entry => entry.Text.Contains("0000:00:11.0"));
        foreach (VfioPciDevice device in devices)
        {
            device.Dispose();
        }

        kernel.ShouldHoldNothing();
    }

    [Fact]
    public void What_can_be_mapped_is_asked_again_when_a_group_joins()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();
        kernel.AddController("0000:00:11.0", 6);
        var host = new VfioHost(kernel);
        using VfioPciDevice first = host.Attach(kernel.Devices[0].Path);
        first.Dma.ValidRanges.Should().HaveCount(2);
        kernel.IovaRanges = [(0x1000, 0xffff_ffff)];

        using VfioPciDevice second = host.Attach(kernel.Devices[1].Path);

        first.Dma.ValidRanges.Should().ContainSingle().Which.Length.Should().Be(0xffff_f000);
    }

    [Fact]
    public void By_iommufd_devices_are_opened_by_themselves()
    {
        var kernel = new FakeVfioKernel { HasIommufd = true };
        kernel.AddController();
        kernel.AddController("0000:00:11.0", 6);
        var host = new VfioHost(kernel);

        VfioPciDevice first = host.Attach(kernel.Devices[0].Path, useIommufd: true);
        VfioPciDevice second = host.Attach(kernel.Devices[1].Path, useIommufd: true);

        first.UsesIommufd.Should().BeTrue();
        kernel.Log.Take(6).Should().Equal(
            "open /dev/iommu",
            "IOMMU_IOAS_ALLOC /dev/iommu",
            "open /dev/vfio/devices/vfio0",
            "VFIO_DEVICE_BIND_IOMMUFD /dev/vfio/devices/vfio0",
            "VFIO_DEVICE_ATTACH_IOMMUFD_PT /dev/vfio/devices/vfio0",
            "IOMMU_IOAS_IOVA_RANGES /dev/iommu");
        kernel.CountOf("open /dev/iommu").Should().Be(1);
        kernel.CountOf("open /dev/vfio/vfio").Should().Be(0);
        second.Dma.Should().Be(first.Dma);
        second.Dispose();
        first.Dispose();
        kernel.ShouldHoldNothing();
    }

    [Fact]
    public void A_device_that_does_not_go_with_an_address_space_is_opened_anew_for_one_of_its_own()
    {
        var kernel = new FakeVfioKernel { HasIommufd = true };
        kernel.AddController();
        kernel.AddController("0000:00:11.0", 6);
        var host = new VfioHost(kernel);
        using VfioPciDevice first = host.Attach(kernel.Devices[0].Path, useIommufd: true);
        int attaches = 0;
        kernel.Refuse = line => line.StartsWith("VFIO_DEVICE_ATTACH") && attaches++ == 0 ? 98 : 0;

        using VfioPciDevice second = host.Attach(kernel.Devices[1].Path, useIommufd: true);

        host.AddressSpaces.Should().Be(2);
        second.Dma.Should().NotBe(first.Dma);
        kernel.CountOf("open /dev/vfio/devices/vfio1").Should().Be(2);
        kernel.CountOf("close /dev/vfio/devices/vfio1").Should().Be(1);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(13)]
    [InlineData(2)]
    public void A_device_goes_through_its_group_whatever_the_kernel_has_besides(int errno)
    {
        var kernel = new FakeVfioKernel
        {
            HasIommufd = true,
            Refuse = line => line is "open /dev/iommu" or "open /dev/vfio/devices/vfio0" ? errno : 0,
        };
        kernel.AddController();

        using VfioPciDevice device = kernel.Attach();

        device.UsesIommufd.Should().BeFalse();
        kernel.CountOf("open /dev/iommu").Should().Be(0);
    }

    [Fact]
    public void A_driver_that_is_made_for_one_kind_of_device_counts_as_vfios()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController().Driver = "mlx5_vfio_pci";

        using VfioPciDevice device = kernel.Attach();

        device.Name.Should().Be(FakeDevices.Address);
    }
}
