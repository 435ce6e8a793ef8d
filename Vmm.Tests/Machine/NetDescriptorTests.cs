using System;
using System.IO;
using System.Linq;
using Microsoft.Win32.SafeHandles;
using Vmm.DeviceModel.Interop;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Tests.Virtio.Devices;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Interop;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Machine;

/// <summary>A machine's network card on a tap that is open already.</summary>
public sealed class NetDescriptorTests
{
    [TapFact]
    public void The_same_options_make_machine_after_machine() => NetworkNamespace.Run(() =>
    {
        DescriptorIo.Open("/dev/net/tun", Libc.O_RDWR, out FileDescriptor tun).Should().Be(0);
        using FileDescriptor own = tun;
        Tap.Attach(own, "vmmfd0", headerSize: 10, several: false, create: true).Should().Be(0);
        using var handle = new SafeFileHandle(own.Number, ownsHandle: false);
        MachineOptions options = MachineRig.Options with { Devices = [NetOptions.On(handle)] };
        string? mac = null;
        for (int round = 0; round < 3; round++)
        {
            using var rig = new MachineRig(options);
            var function = (VirtioPciFunction)rig.Devices.Devices.Single().Function;
            function.Name.Should().Be("net0");
            function.Description.Should().Be($"tap fd={own.Number}");
            var net = (NetDevice)function.Device;
            mac ??= net.Mac.ToString();
            net.Mac.ToString().Should().Be(mac, "it is made from the name of the tap");
        }

        Tap.GetPersistent(own, out _).Should().Be(0, "the tap is there as long as its owner wants");
    });

    [Fact]
    public void What_is_no_tap_is_refused_in_one_line()
    {
        using SafeFileHandle file = File.OpenHandle("/dev/null");
        MachineOptions options = MachineRig.Options with { Devices = [NetOptions.On(file)] };

        FluentActions.Invoking(() => new MachineRig(options).Dispose()).Should().Throw<MachineException>()
            .WithMessage($"net fd={file.DangerousGetHandle()}: is not a tap (TUNGETIFF: errno 25: *)")
            .Which.Message.Should().NotContain("\n");
    }

    [Fact]
    public void Options_that_contradict_themselves_are_refused()
    {
        using SafeFileHandle file = File.OpenHandle("/dev/null");
        var good = NetOptions.On(file);
        foreach (NetOptions bad in new[]
        {
            good with { Tap = "tap0" }, good with { Pairs = 2 }, good with { Descriptors = [] },
            good with { HostAddress = System.Net.IPAddress.Loopback, HostMask = System.Net.IPAddress.Any },
        })
        {
            FluentActions.Invoking(() => new MachineRig(MachineRig.Options with { Devices = [bad] }).Dispose())
                .Should().Throw<ArgumentException>($"{bad}");
        }
    }
}
