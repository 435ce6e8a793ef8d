using System;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>
/// Steps that were asked for before the ones asked for earlier have been made, as by two vCPUs: each looks at the registers as they are when its turn
/// comes.
/// </summary>
[Trait("Behaviour", "VTP-7")]
public sealed class EffectOrderTests
{
    private const ulong Features = TestDriver.Version1 | TransportFeatures.RingReset;

    [Fact]
    [Trait("Behaviour", "VTP-6")]
    public void A_start_that_comes_after_a_reset_does_nothing()
    {
        using TransportRig rig = Ready();
        Together(rig, () => rig.Driver.Status = 0, () => rig.Driver.Status = 0xf);
        rig.Driver.Status.Should().Be(0);
        rig.Device.Calls.Should().Equal("reset", "reset");
    }

    [Fact]
    [Trait("Behaviour", "VTP-6")]
    public void A_reset_that_comes_after_a_start_stops_what_was_started()
    {
        using TransportRig rig = Ready();
        Together(rig, () => rig.Driver.Status = 0xf, () => rig.Driver.Status = 0);
        rig.Driver.Status.Should().Be(0);
        rig.Device.Calls.Should().Equal("reset", "start", "start-queue 0", "stop-queue 0", "reset");
    }

    [Fact]
    [Trait("Behaviour", "VTP-5")]
    public void A_driver_that_gives_up_before_the_start_is_not_started_for()
    {
        using TransportRig rig = Ready();
        Together(rig, () => rig.Driver.Status = 0xf, () => rig.Driver.Status = 0x8f);
        rig.Driver.Status.Should().Be(0x8f);
        rig.Device.Calls.Should().Equal("reset");
        Together(rig, () => rig.Driver.Status = 0);
        rig.Driver.Status.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VTP-5")]
    public void Giving_up_after_a_reset_is_over_with_it()
    {
        using TransportRig rig = Ready();
        rig.Driver.Status = 0xf;
        Together(rig, () => rig.Driver.Status = 0, () => rig.Driver.Status = 0x8f);
        rig.Driver.Status.Should().Be(0);
        rig.Device.Calls.Should().Equal("reset", "start", "start-queue 0", "stop-queue 0", "reset");
    }

    [Fact]
    [Trait("Behaviour", "VTP-9")]
    public void A_queue_reset_after_a_reset_of_everything_is_none()
    {
        using TransportRig fresh = Ready();
        fresh.Driver.Status = 0;
        using TransportRig rig = Ready();
        rig.Driver.Status = 0xf;
        Together(rig, () => rig.Driver.Status = 0, () => rig.Driver.Set(Reg.QueueReset, 2, 1));
        rig.Function.QueueResets.Should().Be(0);
        rig.Dump().Should().Be(fresh.Dump());
    }

    [Fact]
    [Trait("Behaviour", "VTP-9")]
    public void While_a_queue_is_being_reset_it_can_not_be_enabled()
    {
        using TransportRig rig = Ready();
        rig.Driver.Status = 0xf;
        rig.Driver.Set(Reg.QueueSelect, 2, 1);
        ulong enabled = 1;
        ulong resetting = 0;
        Together(
            rig,
            () => rig.Driver.Set(Reg.QueueReset, 2, 1),
            () => rig.Driver.Set(Reg.QueueEnable, 2, 1),
            () => (resetting, enabled) = (rig.Driver.Get(Reg.QueueReset, 2), rig.Driver.Get(Reg.QueueEnable, 2)));
        (resetting, enabled).Should().Be((1, 0));
        rig.Device.Count("start-queue 1").Should().Be(0);
        rig.Driver.SetUpQueue(1);
        rig.Device.Count("start-queue 1").Should().Be(1, "afterwards it can");
    }

    [Fact]
    [Trait("Behaviour", "VTP-9")]
    public void A_queue_that_is_enabled_and_reset_at_once_is_never_started()
    {
        using TransportRig rig = Ready();
        rig.Driver.Status = 0xf;
        rig.Driver.SetUpQueue(1, enable: false);
        Together(rig, () => rig.Driver.Set(Reg.QueueEnable, 2, 1), () => rig.Driver.Set(Reg.QueueReset, 2, 1));
        rig.Device.Count("start-queue 1").Should().Be(0);
        rig.Driver.Get(Reg.QueueEnable, 2).Should().Be(0);
        rig.Driver.Get(Reg.QueueReset, 2).Should().Be(0);
        rig.Function.QueueResets.Should().Be(1);
        rig.Device.Rings[0].Should().NotBeNull();
    }

    [Fact]
    [Trait("Behaviour", "VTP-6")]
    public void A_queue_that_is_enabled_twice_is_started_once()
    {
        using TransportRig rig = Ready();
        rig.Driver.Status = 0xf;
        rig.Driver.SetUpQueue(1, enable: false);
        Together(rig, () => rig.Driver.Set(Reg.QueueEnable, 2, 1), () => rig.Driver.Set(Reg.QueueEnable, 2, 1));
        rig.Driver.Set(Reg.QueueEnable, 2, 1);
        rig.Device.Calls.Should().Equal("reset", "start", "start-queue 0", "start-queue 1");
    }

    [Fact]
    [Trait("Behaviour", "VTP-16")]
    public void A_device_that_needs_a_reset_starts_no_queue_before_it()
    {
        using TransportRig rig = Ready();
        rig.Driver.Status = 0xf;
        rig.Device.LastHost!.NeedsReset("broken");
        rig.Driver.SetUpQueue(1);
        rig.Device.Rings[1].Should().BeNull();
        rig.Driver.Status.Should().Be(0x4f);
        rig.Driver.Start(queues: [0, 1]);
        rig.Device.Rings[1].Should().NotBeNull();
    }

    [Fact]
    [Trait("Behaviour", "VTP-16")]
    public void One_bad_ring_is_reported_once_and_the_others_are_looked_at_all_the_same()
    {
        using var rig = new TransportRig(new FakeVirtioDevice(16, 16, 16));
        rig.Driver.Negotiate();
        for (int queue = 0; queue < 3; queue++)
        {
            rig.Driver.SetUpQueue(queue, enable: false);
            rig.Driver.Set(Reg.QueueDriver, 8, queue == 1 ? 1 : TestDriver.Areas(queue).Driver);
            rig.Driver.Set(Reg.QueueEnable, 2, 1);
        }

        rig.Driver.Status = 0xf;
        rig.Driver.Status.Should().Be(0x4f);
        rig.Function.CountOf(GuestMistake.BadRing).Should().Be(1);
        rig.Device.Calls.Should().Equal("reset", "start", "start-queue 0", "start-queue 2", "stop-queue 0", "stop-queue 2");
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(2);
    }

    [Fact]
    [Trait("Behaviour", "VTP-14")]
    public void Notifications_and_bus_mastering_of_a_disposed_function_reach_nobody()
    {
        TransportRig rig = Ready();
        rig.Driver.Status = 0xf;
        EventFd kick = rig.Device.Kicks[0]!;
        uint notify = (uint)(rig.Driver.NotifyAddress(0) - rig.Driver.Bar);
        rig.Dispose();
        FluentActions.Invoking(() => rig.Function.WriteBar(0, notify, 2, 0)).Should().NotThrow();
        FluentActions.Invoking(() => rig.Function.WriteConfiguration(4, 2, 0)).Should().NotThrow();
        FluentActions.Invoking(() => rig.Function.WriteConfiguration(4, 2, 4)).Should().NotThrow();
        FluentActions.Invoking(() => kick.Descriptor).Should().Throw<ObjectDisposedException>("it was the transport's");
    }

    /// <summary>One queue is set up, DRIVER_OK is next.</summary>
    private static TransportRig Ready()
    {
        var rig = new TransportRig(new FakeVirtioDevice { Features = RingFeatures.IndirectDescriptors });
        rig.Driver.Negotiate(Features).Should().BeTrue();
        rig.Driver.SetUpQueue(0);
        return rig;
    }

    /// <summary>Accesses that are over before the first effect of any of them runs.</summary>
    private static void Together(TransportRig rig, params Action[] accesses)
    {
        using AccessDomain.ReadScope scope = rig.Domain.Enter();
        foreach (Action access in accesses)
        {
            access();
        }
    }
}
