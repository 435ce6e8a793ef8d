using System;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>A log that fails is the embedder's trouble: neither a driver's mistake nor a device's takes the function out of service with it.</summary>
public sealed class FailingLogTests
{
    [Fact]
    [Trait("Behaviour", "BUS-8")]
    [Trait("Behaviour", "VTP-5")]
    public void A_drivers_mistake_that_cannot_be_logged_is_ignored_all_the_same()
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { LoggerFactory = new ThrowingLogger() });

        rig.Driver.Status = 4;

        rig.Function.CountOf(GuestMistake.StatusSkipped).Should().Be(1);
        rig.Memory.HandlerFaults.Should().Be(0);
        rig.Driver.Negotiate().Should().BeTrue("the registers still answer");
    }

    [Fact]
    [Trait("Behaviour", "VTP-7")]
    public void A_reset_completes_though_the_device_fails_and_the_log_too()
    {
        var device = new FakeVirtioDevice();
        using var rig = new TransportRig(device, new VirtioPciOptions { LoggerFactory = new ThrowingLogger() });
        rig.Driver.Start(queues: [0, 1]);
        device.OnCall = static call =>
        {
            if (call == "stop-queue 0")
            {
                throw new InvalidOperationException("a mistake in the device");
            }
        };

        rig.Driver.Status = 0;
        device.OnCall = static _ => { };

        device.Count("stop-queue 1").Should().Be(1);
        rig.Function.DeviceStatus.Should().Be((Vmm.Virtio.Spec.DeviceStatus)0);
    }
}
