using System;
using System.Linq;
using Vmm.DeviceModel.Interop;
using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>Resets of one device, and of all on a bus where all are ours.</summary>
[Trait("Behaviour", "VFIO-10")]
public sealed class ResetTests
{
    [Fact]
    public void A_reset_reaches_the_device()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController();
        using VfioPciDevice device = kernel.Attach();
        int before = fake.Resets;

        device.Reset();

        fake.Resets.Should().Be(before + 1);
    }

    [Fact]
    public void A_reset_that_fails_says_so()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();
        using VfioPciDevice device = kernel.Attach();
        kernel.Refuse = line => line.StartsWith("VFIO_DEVICE_RESET", StringComparison.Ordinal) ? Errno.EIO : 0;

        FluentActions.Invoking(device.Reset).Should().Throw<VfioException>().Where(e => e.Errno == Errno.EIO && e.Path == FakeDevices.Address);
    }

    [Fact]
    public void Without_a_reset_of_its_own_that_is_said()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController().CanReset = false;
        using VfioPciDevice device = kernel.Attach();

        FluentActions.Invoking(device.Reset).Should().Throw<VfioException>().WithMessage("*no reset reaches this device alone*");
        kernel.CountOf("VFIO_DEVICE_RESET").Should().Be(0);
    }

    [Fact]
    public void A_bus_that_is_all_ours_is_reset_with_the_groups_as_proof()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController("0000:01:00.0");
        kernel.AddController("0000:02:00.0", 6);
        fake.Dependents = [(5, 1, 0), (6, 1, 1), (5, 1, 2)];
        var host = new VfioHost(kernel);
        using VfioPciDevice device = host.Attach(fake.Path);
        using VfioPciDevice other = host.Attach(kernel.Devices[1].Path);

        device.TryHotReset().Should().BeNull();

        fake.HotResets.Should().Be(1);
        kernel.CountOf("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO").Should().Be(2, "once for the number, once for all of them");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_bus_on_which_another_device_is_in_use_is_left_alone_and_that_one_named(bool iommufd)
    {
        var kernel = new FakeVfioKernel { HasIommufd = iommufd };
        FakeVfioDevice fake = kernel.AddController("0000:01:00.0");
        kernel.AddController("0000:01:00.1", 6);
        fake.Dependents = iommufd ? [(3, 1, 0), (4, 1, 1)] : [(5, 1, 0), (6, 1, 1)];
        var host = new VfioHost(kernel);
        using VfioPciDevice device = host.Attach(fake.Path, iommufd);
        using VfioPciDevice other = host.Attach(kernel.Devices[1].Path, iommufd);

        device.TryHotReset().Should().Contain("in use: 0000:01:00.1");

        kernel.CountOf("VFIO_DEVICE_PCI_HOT_RESET").Should().Be(0);
    }

    [Fact]
    public void A_bus_with_a_device_that_is_not_ours_is_left_alone_and_the_device_named()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController("0000:01:00.0");
        fake.Dependents = [(5, 1, 0), (9, 1, 0x0b), (0x8000_0009, 1, 0x0c)];
        using VfioPciDevice device = kernel.Attach();

        device.TryHotReset().Should().Contain("0000:01:01.3, 0000:01:01.4");

        fake.HotResets.Should().Be(0);
        kernel.CountOf("VFIO_DEVICE_PCI_HOT_RESET").Should().Be(0);
    }

    [Fact]
    public void A_group_that_was_given_back_is_not_ours_any_more()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController("0000:01:00.0");
        kernel.AddController("0000:01:00.1", 6);
        fake.Dependents = [(5, 1, 0), (6, 1, 1)];
        var host = new VfioHost(kernel);
        using VfioPciDevice device = host.Attach(fake.Path);
        host.Attach(kernel.Devices[1].Path).Dispose();

        device.TryHotReset().Should().Contain("0000:01:00.1");
    }

    [Theory]
    [InlineData(0u, true)]
    [InlineData(uint.MaxValue, false)]
    public void Through_iommufd_the_kernel_knows_whose_the_devices_are(uint number, bool ours)
    {
        var kernel = new FakeVfioKernel { HasIommufd = true };
        FakeVfioDevice fake = kernel.AddController("0000:01:00.0");
        fake.Dependents = [(3, 1, 0), (number, 1, 1)];
        using VfioPciDevice device = kernel.Attach(useIommufd: true);

        string? reason = device.TryHotReset();

        (reason is null).Should().Be(ours, reason);
        fake.HotResets.Should().Be(ours ? 1 : 0);
        (reason ?? "0000:01:00.1").Should().Contain("0000:01:00.1").And.NotContain("0000:01:00.0");
    }

    [Fact]
    public void A_device_without_such_a_reset_says_so()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();
        using VfioPciDevice device = kernel.Attach();

        device.TryHotReset().Should().Contain("neither its slot nor its bus");
    }

    [Theory]
    [InlineData("VFIO_DEVICE_PCI_HOT_RESET", Errno.EIO)]
    [InlineData("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", Errno.EIO)]
    [InlineData("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", Errno.EAGAIN)]
    [InlineData("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", Errno.ENOSPC)]
    public void A_refusal_is_an_answer_and_nothing_hangs(string step, int errno)
    {
        var kernel = new FakeVfioKernel { Refuse = line => line.StartsWith(step + " ", StringComparison.Ordinal) ? errno : 0 };
        FakeVfioDevice fake = kernel.AddController();
        fake.Dependents = [(5, 0, 0x80)];
        using VfioPciDevice device = kernel.Attach();

        device.TryHotReset().Should().NotBeNull();

        fake.HotResets.Should().Be(0);
        kernel.CountOf(step).Should().BeLessThan(20);
    }

    [Fact]
    public void More_devices_than_a_bus_can_have_are_a_lie()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController();
        fake.Dependents = [.. Enumerable.Range(0, 5000).Select(i => (5u, (byte)0, (byte)i))];
        using VfioPciDevice device = kernel.Attach();

        device.TryHotReset().Should().Contain("is not known");
    }
}
