using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>Devices that tests of the kernel's side start from.</summary>
internal static class FakeDevices
{
    public const string Address = "0000:00:10.0";
    public const string Path = "/sys/bus/pci/devices/" + Address;

    /// <summary>One that resembles an NVMe controller: 64-bit BAR 0 with the MSI-X table in its third page, function-level reset, a pin.</summary>
    public static FakeVfioDevice AddController(this FakeVfioKernel kernel, string address = Address, int group = 5)
    {
        FakeVfioDevice device = kernel.AddDevice(address, group);
        device.CanReset = true;
        device.Regions[0].Size = 0x4000;
        device.Regions[0].Flags = 7;
        device.Regions[0].Areas = [new RegionArea(0, 0x2000), new RegionArea(0x3000, 0x1000)];
        device.Interrupts[(int)PciInterruptIndex.Pin] = new(1, 7);
        device.Interrupts[(int)PciInterruptIndex.Msi] = new(1, 9);
        device.Interrupts[(int)PciInterruptIndex.Msix] = new(65, 9);
        device.Interrupts[(int)PciInterruptIndex.Error] = new(1, 1);
        return device;
    }

    /// <summary>Attaches the first device of a kernel.</summary>
    public static VfioPciDevice Attach(this FakeVfioKernel kernel, bool useIommufd = false) =>
        new VfioHost(kernel).Attach(kernel.Devices[0].Path, useIommufd);

    /// <summary>What an attach is refused with.</summary>
    public static VfioException Refused(this FakeVfioKernel kernel, string path = Path, bool useIommufd = false)
    {
        return FluentActions.Invoking(() => new VfioHost(kernel).Attach(path, useIommufd)).Should().Throw<VfioException>().Which;
    }

    /// <summary>Asserts that nothing of the kernel's is held any more.</summary>
    public static void ShouldHoldNothing(this FakeVfioKernel kernel, string because = "")
    {
        kernel.Files.Should().BeEmpty(because);
        kernel.Mappings.Should().Be(0, because);
        kernel.Violations.Should().BeEmpty(because);
    }
}
