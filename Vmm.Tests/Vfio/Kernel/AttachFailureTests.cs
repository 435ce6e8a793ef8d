using System;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>Each refusal on the way to a device: one line with the cause and what helps, and nothing left behind.</summary>
[Trait("Behaviour", "VFIO-1")]
public sealed class AttachFailureTests
{
    private const int Eio = 5;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Behaviour", "VFIO-14")]
    public void Whatever_step_is_refused_all_that_was_done_is_undone_and_the_next_attempt_works(bool iommufd)
    {
        using var ram = HostMemory.AllocateAnonymous(0x20000);
        int refusedSteps = 0;
        for (int step = 0; ; step++)
        {
            var kernel = new FakeVfioKernel { HasIommufd = iommufd };
            FakeVfioDevice fake = kernel.AddController();
            kernel.Devices[0].HasIommu.Should().BeTrue();
            var memory = new GuestMemory();
            memory.Add(0, ram, 0, 0x10000);
            memory.Add(0x10_0000, ram, 0x10000, 0x10000);
            var hypervisor = new RecordingHostDeviceFiles(kernel);
            var host = new VfioHost(kernel, memory, hypervisor);
            string refused = "";
            int asked = 0;
            kernel.Refuse = line => !line.StartsWith("close", StringComparison.Ordinal) && asked++ == step && (refused = line).Length > 0 ? Eio : 0;

            try
            {
                host.Attach(fake.Path, iommufd).Dispose();
                if (refused.Length == 0)
                {
                    break;
                }

                // Only what has another way, and what is best effort at the end, may be refused without a word.
                refused.Should().MatchRegex(
                    "^(hypervisor remove|VFIO_DEVICE_RESET|VFIO_GROUP_UNSET_CONTAINER|VFIO_IOMMU_UNMAP_DMA|IOMMU_IOAS_UNMAP)");
            }
            catch (VfioException e)
            {
                refusedSteps++;
                e.Errno.Should().Be(Eio, refused);
                refused.Should().StartWith(e.Step);
                e.Message.Should().Contain("errno 5").And.NotContain("\n");
            }

            kernel.ShouldHoldNothing($"'{refused}' was refused");
            hypervisor.Count.Should().Be(0);
            host.AddressSpaces.Should().Be(0);
            asked = int.MaxValue;
            kernel.Refuse = _ => 0;
            host.Attach(fake.Path, iommufd).Dispose();
            kernel.ShouldHoldNothing();
        }

        refusedSteps.Should().BeGreaterThan(20);
    }

    [Fact]
    public void A_device_that_fails_leaves_the_others_alone()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();
        kernel.AddController("0000:00:10.1");
        var host = new VfioHost(kernel);
        using VfioPciDevice first = host.Attach(kernel.Devices[0].Path);
        int files = kernel.Files.Count;
        kernel.Refuse = line => line.StartsWith("VFIO_DEVICE_GET_REGION_INFO 0000:00:10.1 3", StringComparison.Ordinal) ? Eio : 0;

        FluentActions.Invoking(() => host.Attach(kernel.Devices[1].Path))
            .Should().Throw<VfioException>().WithMessage("0000:00:10.1: VFIO_DEVICE_GET_REGION_INFO*");

        kernel.Files.Should().HaveCount(files);
        host.AddressSpaces.Should().Be(1);
        first.TryRead(Vmm.Pci.Access.PciRegionIndex.Configuration, 0, new byte[2]).Should().BeTrue();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_device_that_the_machine_has_already(bool iommufd)
    {
        var kernel = new FakeVfioKernel { HasIommufd = iommufd };
        kernel.AddController();
        var host = new VfioHost(kernel);
        VfioPciDevice device = host.Attach(FakeDevices.Path, iommufd);

        FluentActions.Invoking(() => host.Attach(FakeDevices.Path + "/"))
            .Should().Throw<VfioException>().Where(e => e.Errno == 16 && e.Message.Contains("has the device already"));

        device.Dispose();
        kernel.ShouldHoldNothing();
        host.Attach(FakeDevices.Path).Dispose();
    }

    [Fact]
    public void Not_there() => new FakeVfioKernel().Refused().Message.Should().Contain("no such device").And.Contain("lspci -D");

    [Fact]
    public void Not_a_PCI_device()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController().Subsystem = "platform";

        kernel.Refused().Message.Should().Contain("not a PCI device");
    }

    [Fact]
    public void Without_an_IOMMU()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice device = kernel.AddController();
        (device.HasIommu, device.Driver) = (false, "nvme");

        kernel.Refused().Message.Should().Contain("intel_iommu=on").And.NotContain("driver_override", "binding would be refused");
    }

    [Theory]
    [InlineData(null, "no driver")]
    [InlineData("nvme", "driver nvme")]
    public void Not_bound_to_VFIO(string? driver, string said)
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController().Driver = driver;

        string message = kernel.Refused().Message;

        message.Should().Contain(said)
            .And.Contain("echo vfio-pci >/sys/bus/pci/devices/0000:00:10.0/driver_override; echo 0000:00:10.0 >/sys/bus/pci/drivers_probe");
        message.Contains("echo 0000:00:10.0 >/sys/bus/pci/drivers/nvme/unbind").Should().Be(driver is not null);
        kernel.Log.Should().BeEmpty("nothing is opened for that");
    }

    [Fact]
    public void A_group_that_is_not_viable_names_who_else_is_in_it()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();
        kernel.AddDevice("0000:00:10.1", 5, "ahci");
        kernel.AddDevice("0000:00:10.2", 5, null);
        kernel.AddDevice("0000:00:10.3", 5, "e1000e");

        VfioException refused = kernel.Refused();

        refused.Path.Should().Be("/dev/vfio/5");
        refused.Message.Should().Contain("0000:00:10.1 (ahci), 0000:00:10.3 (e1000e)").And.NotContain("10.2").And.NotContain("10.0 (");
        kernel.ShouldHoldNothing();
    }

    [Theory]
    [InlineData("open /dev/vfio/5", 13, "chown USER /dev/vfio/5")]
    [InlineData("open /dev/vfio/5", 2, "modprobe vfio-pci")]
    [InlineData("open /dev/vfio/5", 16, "another process")]
    [InlineData("open /dev/vfio/5", 24, "ulimit -n")]
    [InlineData("open /dev/vfio/vfio", 2, "modprobe vfio-pci")]
    [InlineData("open /dev/vfio/vfio", 13, "chown USER /dev/vfio/vfio")]
    [InlineData("VFIO_SET_IOMMU", 1, "without interrupt remapping VFIO refuses")]
    [InlineData("VFIO_SET_IOMMU", 1, "allow_unsafe_interrupts=1")]
    [InlineData("VFIO_GROUP_SET_CONTAINER", 16, "in use")]
    [InlineData("VFIO_SET_IOMMU", 19, "intel_iommu=on")]
    [InlineData("VFIO_GROUP_GET_DEVICE_FD", 16, "in use")]
    [InlineData("VFIO_GROUP_GET_DEVICE_FD", 19, "unbound or removed")]
    public void Refusals_say_what_helps(string step, int errno, string helps)
    {
        var kernel = new FakeVfioKernel { Refuse = line => line.StartsWith(step, StringComparison.Ordinal) ? errno : 0 };
        kernel.AddController();

        VfioException refused = kernel.Refused();

        refused.Errno.Should().Be(errno);
        step.Should().StartWith(refused.Step);
        refused.Message.Should().Contain(helps);
        kernel.ShouldHoldNothing();
    }

    [Theory]
    [InlineData("open /dev/vfio/devices/vfio0", 13, "chown USER /dev/vfio/devices/vfio0")]
    [InlineData("VFIO_DEVICE_BIND_IOMMUFD", 16, "in use")]
    [InlineData("VFIO_DEVICE_ATTACH_IOMMUFD_PT", 1, "without interrupt remapping")]
    [InlineData("VFIO_DEVICE_ATTACH_IOMMUFD_PT", 98, "reserved")]
    [InlineData("open /dev/iommu", 13, "chown USER /dev/iommu")]
    [InlineData("open /dev/iommu", 2, "modprobe iommufd")]
    public void Refusals_of_iommufd_say_what_helps(string step, int errno, string helps)
    {
        var kernel = new FakeVfioKernel { HasIommufd = true, Refuse = line => line.StartsWith(step, StringComparison.Ordinal) ? errno : 0 };
        kernel.AddController();

        VfioException refused = kernel.Refused(useIommufd: true);

        refused.Errno.Should().Be(errno);
        refused.Message.Should().Contain(helps);
        kernel.CountOf("open /dev/vfio/5").Should().Be(0, "what was asked for is not replaced by something else");
        kernel.ShouldHoldNothing();
    }

    [Fact]
    public void An_iommufd_that_the_kernel_has_not_got()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();

        kernel.Refused(useIommufd: true).Message.Should().Contain("iommufd=on").And.Contain("Linux 6.6").And.Contain("through its group");
        kernel.ShouldHoldNothing();
    }

    [Fact]
    public void A_group_that_is_not_visible_where_the_device_is()
    {
        var kernel = new FakeVfioKernel { HasIommufd = true, Refuse = line => line == "open /dev/vfio/5" ? 2 : 0 };
        kernel.AddController();

        kernel.Refused().Message.Should().Contain("--device /dev/vfio/5").And.Contain("iommufd=on");
        kernel.ShouldHoldNothing();
    }

    [Fact]
    public void Another_version_of_the_interface()
    {
        var kernel = new FakeVfioKernel { ApiVersion = 1 };
        kernel.AddController();

        kernel.Refused().Message.Should().Contain("version 1");
        kernel.ShouldHoldNothing();
    }

    [Fact]
    public void No_type_1_driver()
    {
        var kernel = new FakeVfioKernel { HasType1 = false };
        kernel.AddController();

        kernel.Refused().Message.Should().Contain("modprobe vfio_iommu_type1");
        kernel.ShouldHoldNothing();
    }

    [Fact]
    public void Too_little_lockable_memory_names_the_limit_and_what_is_needed()
    {
        var kernel = new FakeVfioKernel { LockedMemoryLimit = 64 << 10 };
        kernel.AddController();
        using var ram = HostMemory.AllocateAnonymous(1 << 20);
        var memory = new GuestMemory();
        memory.Add(0, ram, 0, 32 << 10);
        memory.Add(1 << 20, ram, 1 << 19, 1 << 19);

        VfioException refused = FluentActions.Invoking(() => new VfioHost(kernel, memory).Attach(FakeDevices.Path))
            .Should().Throw<VfioException>().Which;

        refused.Step.Should().Be("VFIO_IOMMU_MAP_DMA");
        refused.Errno.Should().Be(12);
        refused.Message.Should().Contain("ulimit -l").And.Contain("limit of locked memory is 64 KiB").And.Contain("more than 544");
        kernel.ShouldHoldNothing();
    }

    [Fact]
    public void Guest_memory_where_the_IOMMU_maps_nothing_names_the_ranges()
    {
        var kernel = new FakeVfioKernel { IovaRanges = [(0, 0xfedf_ffff), (0xfef0_0000, 0xffff_ffff)] };
        kernel.AddController();
        using var ram = HostMemory.AllocateAnonymous(1 << 20);
        var memory = new GuestMemory();
        memory.Add(0x1_0000_0000, ram, 0, ram.Length);

        VfioException refused = FluentActions.Invoking(() => new VfioHost(kernel, memory).Attach(FakeDevices.Path))
            .Should().Throw<VfioException>().Which;

        refused.Message.Should().Contain("0x100000000").And.Contain("0x0 to 0xfedfffff").And.Contain("0xfef00000 to 0xffffffff");
        kernel.ShouldHoldNothing();
    }
}
