using Vmm.DeviceModel.Events;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>virtio 1.2, 4.1.4.4 and 4.1.5.2: the ways a notification takes.</summary>
[Trait("Behaviour", "VTP-14")]
public sealed class NotificationTests
{
    [Fact]
    public void Each_running_queue_has_a_doorbell_at_its_own_address()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: [0, 1]);

        rig.Doorbells.Addresses.Should().Equal(rig.Driver.NotifyAddress(0), rig.Driver.NotifyAddress(1));
        rig.Doorbells[rig.Driver.NotifyAddress(0)].Should().BeSameAs(rig.Device.Kicks[0]);
        rig.Doorbells[rig.Driver.NotifyAddress(1)].Should().BeSameAs(rig.Device.Kicks[1]);
    }

    [Fact]
    public void A_plain_write_does_what_the_doorbell_would_have_done()
    {
        using var rig = new TransportRig(doorbells: false);
        rig.Driver.Start(queues: [0, 1]);
        Drain(rig);
        rig.Driver.Notify(1);

        rig.Device.Kicks[1]!.TryConsume(out _).Should().BeTrue();
        rig.Device.Kicks[0]!.TryConsume(out _).Should().BeFalse();
    }

    [Fact]
    public void A_hypervisor_without_room_for_doorbells_is_no_obstacle()
    {
        using var rig = new TransportRig();
        rig.Doorbells.Refuses = true;
        rig.Driver.Start(queues: [0, 1]);
        Drain(rig);

        rig.Driver.Status.Should().Be(0xf);
        rig.Driver.Notify(0);
        rig.Device.Kicks[0]!.TryConsume(out _).Should().BeTrue();
    }

    [Theory]
    [InlineData(TestDriver.Version1, 2)]
    [InlineData(TestDriver.Version1 | TransportFeatures.NotificationData, 4)]
    public void The_configuration_window_notifies(ulong features, int width)
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { NotificationData = true });
        rig.Driver.Start(features, 0, 1);
        Drain(rig);
        rig.Driver.AimWindow(0, (uint)(rig.Driver.NotifyAddress(1) - rig.Driver.Bar), (uint)width);
        rig.Driver.WriteWindow(0x7_0001, width);

        rig.Device.Kicks[1]!.TryConsume(out ulong count).Should().BeTrue();
        count.Should().Be(1);
        rig.Device.Kicks[0]!.TryConsume(out _).Should().BeFalse();
    }

    [Fact]
    public void A_plain_write_of_either_width_notifies_whatever_was_negotiated()
    {
        using var rig = new TransportRig(doorbells: false);
        rig.Driver.Start(queues: [0, 1]);
        Drain(rig);
        foreach (int width in new[] { 2, 4 })
        {
            rig.Driver.Notify(1, width);
            rig.Device.Kicks[1]!.TryConsume(out ulong count).Should().BeTrue();
            count.Should().Be(1);
        }

        rig.Function.CountOf(GuestMistake.NotificationIgnored).Should().Be(0);
    }

    [Theory]
    [InlineData(TestDriver.Version1, 2)]
    [InlineData(TestDriver.Version1 | TransportFeatures.NotificationData, 4)]
    public void A_doorbell_takes_writes_of_the_width_that_was_negotiated(ulong features, int width)
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { NotificationData = true });
        rig.Driver.Start(features, 0);
        rig.Doorbells.WidthOf(rig.Driver.NotifyAddress(0)).Should().Be(width);
    }

    [Fact]
    public void A_notification_before_DRIVER_OK_is_no_mistake_and_nothing_is_missed()
    {
        using var rig = new TransportRig(doorbells: false);
        rig.Driver.Negotiate();
        rig.Driver.SetUpQueue(0);
        rig.Driver.Notify(0);
        rig.Function.CountOf(GuestMistake.NotificationIgnored).Should().Be(0);
        rig.Driver.Status = 0xf;
        rig.Device.Calls.Should().Equal("reset", "start", "start-queue 0");
    }

    [Fact]
    [Trait("Behaviour", "PCI-8")]
    [Trait("Behaviour", "VTP-9")]
    public void A_queue_that_was_reset_is_not_looked_at()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(TestDriver.Version1 | TransportFeatures.RingReset, 0, 1);
        rig.Driver.Set(CommonConfigurationOffset.QueueSelect, 2, 0);
        rig.Device.Kicks[0]!.Signal();
        rig.Driver.Set(CommonConfigurationOffset.QueueReset, 2, 1);
        rig.Device.Kicks[0]!.TryConsume(out _).Should().BeFalse("what was for the queue before is forgotten");
        rig.Driver.WriteConfig(4, 2, 2);
        rig.Driver.WriteConfig(4, 2, 6);
        rig.Device.Kicks[1]!.TryConsume(out _).Should().BeTrue();
        rig.Device.Kicks[0]!.TryConsume(out _).Should().BeFalse();
    }

    [Fact]
    public void With_NOTIFICATION_DATA_a_notification_is_32_bits_of_any_ring_position()
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { NotificationData = true }, doorbells: false);
        rig.Driver.Start(TestDriver.Version1 | TransportFeatures.NotificationData, 0);
        Drain(rig);
        rig.Memory.Write(rig.Driver.NotifyAddress(0), 4, 0xffff_0000);
        rig.Device.Kicks[0]!.TryConsume(out _).Should().BeTrue();
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(0, 8)]
    [InlineData(2, 2)]
    [InlineData(8, 2)]
    [InlineData(0x7fc, 4)]
    public void Other_writes_to_the_notify_region_do_nothing(uint offset, int width)
    {
        using var rig = new TransportRig(doorbells: false);
        rig.Driver.Start(queues: [0, 1]);
        Drain(rig);
        rig.Memory.Write(rig.Driver.NotifyAddress(0) + offset, width, 0);
        rig.Function.CountOf(GuestMistake.NotificationIgnored).Should().Be(offset < 8 ? 1 : 0, "behind the two queues there is no register");
        rig.Device.Kicks[0]!.TryConsume(out _).Should().BeFalse();
        rig.Device.Kicks[1]!.TryConsume(out _).Should().BeFalse();
        rig.Memory.Read(rig.Driver.NotifyAddress(0), 4).Should().Be(0, "there is nothing to read");
    }

    [Fact]
    public void A_queue_that_is_not_enabled_ignores_notifications()
    {
        using var rig = new TransportRig(doorbells: false);
        rig.Driver.Start(queues: 0);
        rig.Driver.Notify(1);
        rig.Device.Kicks[1].Should().BeNull();
        rig.Function.CountOf(GuestMistake.NotificationIgnored).Should().Be(1);
    }

    [Fact]
    public void A_kick_while_the_device_starts_is_not_lost()
    {
        using var rig = new TransportRig();
        rig.Device.OnCall = call =>
        {
            if (call == "start-queue 0")
            {
                rig.Memory.Write(rig.Driver.Bar + rig.Driver.Structures[VirtioPciCapabilityType.Notification].Offset, 2, 0);
            }
        };
        rig.Driver.Start(queues: 0);

        rig.Device.Kicks[0]!.TryConsume(out _).Should().BeTrue("no doorbell took it, so the write did");
    }

    [Fact]
    public void Doorbells_follow_the_BAR_and_come_and_go_with_its_decoding()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: [0, 1]);
        rig.Driver.Place(0x40_0000_0000);
        rig.Doorbells.Addresses.Should().Equal(rig.Driver.NotifyAddress(0), rig.Driver.NotifyAddress(1));
        rig.Doorbells.Addresses[0].Should().BeGreaterThan(0x40_0000_0000);
        rig.Driver.WriteConfig(4, 2, 4);
        rig.Doorbells.Addresses.Should().BeEmpty();
        rig.Driver.WriteConfig(4, 2, 6);
        rig.Doorbells.Addresses.Should().HaveCount(2);
    }

    [Fact]
    public void A_queue_that_starts_while_the_BAR_does_not_decode_gets_its_doorbell_later()
    {
        using var rig = new TransportRig();
        rig.Driver.Negotiate();
        rig.Driver.SetUpQueue(0);
        rig.Driver.WriteConfig(4, 2, 4);
        rig.Driver.AimWindow(0, CommonConfigurationOffset.DeviceStatus, 1);
        rig.Driver.WriteWindow(0xf);
        rig.Device.Rings[0].Should().NotBeNull();
        rig.Doorbells.Addresses.Should().BeEmpty();
        rig.Driver.WriteConfig(4, 2, 6);
        rig.Doorbells.Addresses.Should().Equal(rig.Driver.NotifyAddress(0));
    }

    [Fact]
    [Trait("Behaviour", "PCI-8")]
    public void A_driver_that_gives_bus_mastering_back_has_its_queues_looked_at()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        rig.Driver.WriteConfig(4, 2, 2);
        rig.Function.Dma!.Enabled.Should().BeFalse();
        Drain(rig);
        rig.Driver.WriteConfig(4, 2, 6);
        rig.Function.Dma!.Enabled.Should().BeTrue();
        rig.Device.Kicks[0]!.TryConsume(out _).Should().BeTrue();
    }

    private static void Drain(TransportRig rig)
    {
        foreach (EventFd? kick in rig.Device.Kicks)
        {
            kick?.TryConsume(out _);
        }
    }
}
