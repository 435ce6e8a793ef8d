using System;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>The hypervisor is told of groups and devices before a device is opened, and lets them go before they are closed.</summary>
[Trait("Behaviour", "VFIO-1")]
[Trait("Behaviour", "VFIO-14")]
public sealed class HypervisorFilesTests : IDisposable
{
    private readonly FakeVfioKernel _kernel = new() { HasIommufd = true };
    private readonly RecordingHostDeviceFiles _hypervisor;
    private readonly VfioHost _host;

    public HypervisorFilesTests()
    {
        _hypervisor = new RecordingHostDeviceFiles(_kernel);
        _host = new VfioHost(_kernel, null, _hypervisor);
        _kernel.AddController();
        _kernel.AddController("0000:00:10.1");
    }

    public void Dispose()
    {
        _hypervisor.Count.Should().Be(0);
        _kernel.ShouldHoldNothing();
    }

    [Fact]
    public void Of_a_group_once_after_it_is_in_a_container_and_before_its_devices()
    {
        VfioPciDevice first = _host.Attach(_kernel.Devices[0].Path);
        VfioPciDevice second = _host.Attach(_kernel.Devices[1].Path);

        _kernel.Log.Where(line => line.StartsWith("hyper") || line.StartsWith("VFIO_SET_IOMMU") || line.StartsWith("VFIO_GROUP_GET_DEVICE_FD"))
            .Should().Equal(
            "VFIO_SET_IOMMU /dev/vfio/vfio",
            "hypervisor add /dev/vfio/5",
            "VFIO_GROUP_GET_DEVICE_FD /dev/vfio/5 0000:00:10.0",
            "VFIO_GROUP_GET_DEVICE_FD /dev/vfio/5 0000:00:10.1");

        first.Dispose();
        _kernel.CountOf("hypervisor remove").Should().Be(0, "a device of the group is there");
        second.Dispose();
        _kernel.Log.SkipWhile(line => line != "close 0000:00:10.1").Should().ContainInOrder(
            "hypervisor remove /dev/vfio/5", "VFIO_GROUP_UNSET_CONTAINER /dev/vfio/5", "close /dev/vfio/5");
    }

    [Fact]
    public void Of_a_device_that_is_opened_by_itself_before_it_is_bound()
    {
        VfioPciDevice first = _host.Attach(_kernel.Devices[0].Path, useIommufd: true);

        _kernel.Log.Should().ContainInOrder(
            "open /dev/vfio/devices/vfio0", "hypervisor add /dev/vfio/devices/vfio0", "VFIO_DEVICE_BIND_IOMMUFD /dev/vfio/devices/vfio0");

        first.Dispose();
        _kernel.Log.Should().ContainInOrder("hypervisor remove /dev/vfio/devices/vfio0", "close /dev/vfio/devices/vfio0");
    }

    [Fact]
    public void Of_a_device_that_is_opened_anew_anew()
    {
        using VfioPciDevice first = _host.Attach(_kernel.Devices[0].Path, useIommufd: true);
        int attaches = 0;
        _kernel.Refuse = line => line.StartsWith("VFIO_DEVICE_ATTACH") && attaches++ == 0 ? 98 : 0;

        using VfioPciDevice second = _host.Attach(_kernel.Devices[1].Path, useIommufd: true);

        _kernel.CountOf("hypervisor add /dev/vfio/devices/vfio1").Should().Be(2);
        _kernel.CountOf("hypervisor remove /dev/vfio/devices/vfio1").Should().Be(1);
        _hypervisor.Count.Should().Be(2);
    }

    [Theory]
    [InlineData(false, "/dev/vfio/5")]
    [InlineData(true, "/dev/vfio/devices/vfio0")]
    public void A_refusal_undoes_the_attach_and_names_the_file(bool iommufd, string path)
    {
        _kernel.Refuse = line => line.StartsWith("hypervisor add") ? 22 : 0;

        FluentActions.Invoking(() => _host.Attach(_kernel.Devices[0].Path, iommufd)).Should().Throw<VfioException>()
            .Where(e => e.Path == path && e.Errno == 22 && e.Step == "hypervisor add");

        _kernel.ShouldHoldNothing();
        _kernel.Refuse = _ => 0;
        _host.Attach(_kernel.Devices[0].Path, iommufd).Dispose();
    }

    [Theory]
    [InlineData(false, "VFIO_GROUP_GET_DEVICE_FD")]
    [InlineData(true, "VFIO_DEVICE_BIND_IOMMUFD")]
    [InlineData(true, "VFIO_DEVICE_GET_INFO")]
    [InlineData(false, "VFIO_DEVICE_GET_INFO")]
    public void A_later_step_that_is_refused_ends_the_registration(bool iommufd, string step)
    {
        _kernel.Refuse = line => line.StartsWith(step) ? 5 : 0;

        FluentActions.Invoking(() => _host.Attach(_kernel.Devices[0].Path, iommufd)).Should().Throw<VfioException>();

        _kernel.CountOf("hypervisor remove").Should().Be(1);
    }
}
