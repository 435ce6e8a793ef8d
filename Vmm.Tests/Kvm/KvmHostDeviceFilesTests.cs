using System;
using System.IO;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;
using Vmm.Kvm;

namespace Vmm.Tests.Kvm;

/// <summary>KVM is told of the files by which VFIO gives devices.</summary>
[Trait("Behaviour", "VFIO-1")]
public sealed class KvmHostDeviceFilesTests
{
    private const string Create = "device 4";

    [Fact]
    [Trait("Behaviour", "KVM-6")]
    public void One_device_is_made_at_the_first_use_and_takes_the_files_in_and_out()
    {
        var calls = new FakeVmCalls();
        using var files = new KvmHostDeviceFiles(calls, NullLogger.Instance);
        calls.Log.Should().BeEmpty("a machine without devices of the host costs nothing");

        IDisposable first = files.Add(70);
        IDisposable second = files.Add(71);
        files.Count.Should().Be(2);
        first.Dispose();
        first.Dispose();
        second.Dispose();
        files.Add(72).Dispose();

        calls.Log.Should().Equal(
            Create,
            "attribute 1 1 file 70",
            "attribute 1 1 file 71",
            "attribute 1 2 file 70",
            "attribute 1 2 file 71",
            "attribute 1 1 file 72",
            "attribute 1 2 file 72");
        files.Count.Should().Be(0);
    }

    [Theory]
    [Trait("Behaviour", "KVM-9")]
    [InlineData(Create, "KVM_CREATE_DEVICE")]
    [InlineData("attribute 1 1 file 70", "KVM_DEV_VFIO_GROUP_ADD")]
    public void A_refusal_names_the_step_and_leaves_nothing(string line, string step)
    {
        var calls = new FakeVmCalls { Answer = asked => asked == line ? -Errno.EINVAL : 0 };
        using var files = new KvmHostDeviceFiles(calls, NullLogger.Instance);

        FluentActions.Invoking(() => files.Add(70)).Should().Throw<HostException>().Where(e => e.Step == step && e.Errno == Errno.EINVAL);

        files.Count.Should().Be(0);
        calls.Answer = _ => 0;
        files.Add(70).Dispose();
    }

    [Fact]
    [Trait("Behaviour", "KVM-6")]
    public void Its_descriptor_is_closed_with_the_machine_and_what_is_left_is_harmless()
    {
        var calls = new FakeVmCalls();
        var files = new KvmHostDeviceFiles(calls, NullLogger.Instance);
        IDisposable file = files.Add(70);
        string descriptor = $"/proc/self/fd/{calls.Devices[0]}";
        new FileInfo(descriptor).LinkTarget.Should().Be("/dev/null");

        files.Dispose();
        calls.IsClosed = true;
        file.Dispose();

        calls.Log.Should().Equal(Create, "attribute 1 1 file 70");
    }

    [Fact]
    public void A_removal_that_is_refused_is_said_and_does_not_throw()
    {
        var calls = new FakeVmCalls { Answer = asked => asked == "attribute 1 2 file 70" ? -Errno.ENOENT : 0 };
        var log = new CollectingLoggerFactory();
        using var files = new KvmHostDeviceFiles(calls, log);

        files.Add(70).Dispose();

        log.Lines.Should().ContainSingle().Which.Should().Contain("host device at file 70").And.Contain("errno 2");
    }

    [KvmFact]
    public void The_kernel_makes_the_device_and_takes_files_of_vfio_only()
    {
        using var system = KvmSystem.Open();
        using KvmVirtualMachine machine = system.CreateVirtualMachine();
        using var notOfVfio = new EventFd();

        // At the second time there is the device already, of which a machine can have one.
        for (int round = 0; round < 2; round++)
        {
            FluentActions.Invoking(() => machine.HostDeviceFiles.Add(notOfVfio.Descriptor)).Should().Throw<HostException>()
                .Where(e => e.Step == "KVM_DEV_VFIO_GROUP_ADD" && e.Errno == Errno.EINVAL);
        }
    }
}
