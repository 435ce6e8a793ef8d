using System;
using System.Linq;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci.Capabilities;

namespace Vmm.Tests.Pci;

/// <summary>Vectors that the kernel or another process signals through an eventfd.</summary>
public sealed class MsixEventFdTests
{
    [Fact]
    [Trait("Behaviour", "MSIX-5")]
    public void A_route_is_armed_at_unmask_and_disarmed_at_mask()
    {
        var rig = new MsixRig();
        rig.Enable();
        EventFd eventFd = rig.Msix[1].GetEventFd();
        rig.Msix[1].GetEventFd().Should().BeSameAs(eventFd);
        RecordingIrqRoute route = rig.Rig.Routing.Routes.Single();
        route.Source.Should().BeSameAs(eventFd);
        route.Calls.Should().BeEmpty("nothing is spent before the first unmask");

        rig.Program(1, 0xfee00000, 0x41);
        rig.Write(1, 8, 0x42);
        rig.Write(1, 8, 0x42);
        rig.Mask(1, true);
        rig.Write(1, 8, 0x43);
        rig.Mask(1, false);
        rig.Enable(functionMask: true);
        rig.Enable();
        rig.Disable();
        route.Calls.Should().Equal(
            "arm fee00000/41", "arm fee00000/42", "disarm", "arm fee00000/43", "disarm", "arm fee00000/43", "disarm");
    }

    [Fact]
    [Trait("Behaviour", "MSIX-5")]
    public void Events_that_arrive_while_masked_are_folded_into_the_pending_bit()
    {
        var rig = new MsixRig();
        rig.Enable();
        rig.Program(1, 0xfee00000, 0x41, masked: true);
        EventFd eventFd = rig.Msix[1].GetEventFd();
        eventFd.Signal();
        eventFd.Signal();
        rig.PendingBits().Should().Be(2);
        eventFd.TryConsume(out _).Should().BeFalse("it was folded in");
        eventFd.Signal();

        rig.Mask(1, false);

        rig.Rig.Sink.Sent.Should().ContainSingle("one bit is one message").Which.Message.Should().Be(new MsiMessage(0xfee00000, 0x41));
        rig.PendingBits().Should().Be(0);
        eventFd.TryConsume(out _).Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "MSIX-5")]
    public void What_an_armed_route_delivers_is_not_taken_from_it()
    {
        var rig = new MsixRig();
        rig.Enable();
        rig.Program(1, 0xfee00000, 0x41);
        EventFd eventFd = rig.Msix[1].GetEventFd();
        rig.Rig.Routing.Routes.Single().Armed.Should().Be(new MsiMessage(0xfee00000, 0x41), "the vector is unmasked already");
        eventFd.Signal();
        rig.PendingBits().Should().Be(0);
        eventFd.TryConsume(out _).Should().BeTrue("that is the hypervisor's");
        rig.Msix[1].Signal();
        rig.Rig.Sink.Count.Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "MSIX-5")]
    public void Reset_forgets_what_an_eventfd_holds()
    {
        var rig = new MsixRig();
        rig.Enable();
        rig.Program(1, 0xfee00000, 0x41);
        EventFd eventFd = rig.Msix[1].GetEventFd();
        rig.Mask(1, true);
        eventFd.Signal();
        rig.Function.Reset();
        rig.Msix[1].IsPending.Should().BeFalse();
        eventFd.TryConsume(out _).Should().BeFalse();
        rig.Rig.Routing.Routes.Single().Armed.Should().BeNull();
    }

    [Fact]
    [Trait("Behaviour", "MSIX-5")]
    public void A_refused_route_is_counted_and_the_guest_goes_on()
    {
        var rig = new MsixRig();
        rig.Rig.Routing.ArmsLeft = 0;
        rig.Msix[0].GetEventFd();
        rig.Program(0, 0xfee00000, 0x40);
        rig.Enable();
        rig.Msix.RefusedRoutes.Should().Be(1);
        rig.Msix[0].Signal();
        rig.Rig.Sink.Count.Should().Be(1);
        rig.Rig.Routing.ArmsLeft = null;
        rig.Mask(0, true);
        rig.Mask(0, false);
        rig.Rig.Routing.Routes.Single().Armed.Should().NotBeNull();
    }

    [Fact]
    [Trait("Behaviour", "MSIX-5")]
    [Trait("Behaviour", "MSIX-8")]
    public void A_refused_route_is_tried_again_with_the_next_message()
    {
        var rig = new MsixRig();
        EventFd eventFd = rig.Msix[0].GetEventFd();
        RecordingIrqRoute route = rig.Rig.Routing.Routes.Single();
        rig.Rig.Routing.ArmsLeft = 0;
        rig.Program(0, 0xfee00000, 0x40);
        rig.Enable();
        eventFd.Signal();
        rig.PendingBits().Should().Be(0, "an event of an unmasked vector is not pending");
        rig.Rig.Routing.ArmsLeft = null;
        rig.Write(0, 8, 0x41);
        route.Armed.Should().Be(new MsiMessage(0xfee00000, 0x41));
        rig.Msix.RefusedRoutes.Should().Be(1);
        eventFd.TryConsume(out _).Should().BeTrue("the route delivers what the eventfd holds");
    }

    [Fact]
    [Trait("Behaviour", "MSIX-5")]
    [Trait("Behaviour", "MSIX-7")]
    public void A_message_written_by_8_bytes_is_one_change()
    {
        var rig = new MsixRig();
        rig.Msix[1].GetEventFd();
        RecordingIrqRoute route = rig.Rig.Routing.Routes.Single();
        rig.Program(1, 0xfee00000, 0x41);
        rig.Enable();
        rig.Rig.Memory.Write(rig.Table + 16, 8, 0x1_fee01000);
        rig.Rig.Memory.Write(rig.Table + 16, 8, 0x1_fee01003);
        rig.Rig.Memory.Write(rig.Table + 16, 8, 0x2_fee01000);
        rig.Rig.Memory.Write(rig.Table + 24, 8, 0x42);
        rig.Rig.Memory.Write(rig.Table + 24, 8, 0x1_0000_0043);
        rig.Rig.Memory.Write(rig.Table + 24, 8, 0x0000_0044);
        route.Calls.Should().Equal(
            "arm fee00000/41", "arm 1fee01000/41", "arm 2fee01000/41", "arm 2fee01000/42", "disarm", "arm 2fee01000/44");
    }

    [Fact]
    [Trait("Behaviour", "MSIX-5")]
    public void What_is_forgotten_are_the_events_that_nobody_delivers()
    {
        var rig = new MsixRig();
        rig.Enable();
        rig.Program(0, 0xfee00000, 0x40);
        rig.Program(1, 0xfee00000, 0x41, masked: true);
        EventFd armed = rig.Msix[0].GetEventFd();
        EventFd masked = rig.Msix[1].GetEventFd();
        armed.Signal();
        masked.Signal();
        rig.Msix[2].Signal();

        rig.Msix.ClearPending();

        rig.PendingBits().Should().Be(0);
        masked.TryConsume(out _).Should().BeFalse();
        armed.TryConsume(out _).Should().BeTrue("that is the hypervisor's");
        rig.Mask(1, false);
        rig.Mask(2, false);
        rig.Rig.Sink.Count.Should().Be(0);
        rig.Msix[1].Message.Should().Be(new MsiMessage(0xfee00000, 0x41), "the entry stays as it was programmed");
    }

    [Fact]
    [Trait("Behaviour", "MSIX-5")]
    public void A_route_is_disarmed_before_it_goes_and_the_next_one_starts_anew()
    {
        var rig = new MsixRig();
        rig.Enable();
        rig.Program(1, 0xfee00000, 0x41);
        rig.Msix[1].GetEventFd();
        rig.Rig.Bridge.Root.Remove(rig.Function);
        rig.Rig.Routing.Routes.Single().Calls.Should().Equal("arm fee00000/41", "disarm", "dispose");

        rig.Rig.Add(rig.Function);
        rig.Mask(1, true);
        EventFd eventFd = rig.Msix[1].GetEventFd();
        eventFd.Signal();
        rig.Msix[1].IsPending.Should().BeTrue("nothing delivers it");
        rig.Msix.Dispose();
        rig.Rig.Routing.LiveRoutes.Should().Be(0);
    }

    [Fact]
    public void Eventfds_and_routes_go_when_the_function_leaves_its_bus()
    {
        var rig = new MsixRig();
        EventFd eventFd = rig.Msix[0].GetEventFd();
        rig.Msix[3].GetEventFd();
        rig.Rig.Bridge.Root.Remove(rig.Function);
        rig.Rig.Routing.LiveRoutes.Should().Be(0);
        FluentActions.Invoking(() => rig.Msix[0].GetEventFd()).Should().Throw<InvalidOperationException>().WithMessage("*interrupt routing*");
        rig.Rig.Add(rig.Function, 5);
        rig.Msix[0].GetEventFd().Should().NotBeSameAs(eventFd);
        rig.Rig.Routing.LiveRoutes.Should().Be(1);
        FluentActions.Invoking(() => new MsixCapability(1, 0, 0, 0, 16)[0].GetEventFd()).Should().Throw<InvalidOperationException>();
    }

    [Theory]
    [Trait("Behaviour", "KVM-5")]
    [InlineData(2)]
    [InlineData(64)]
    public void However_many_vectors_turn_effective_at_once_the_table_changes_once(int vectors)
    {
        var rig = new MsixRig(vectors, pendingOffset: 0x8000);
        RecordingIrqRouting routing = rig.Rig.Routing;
        for (int i = 0; i < vectors; i++)
        {
            rig.Program(i, 0xfee0_0000, 0x40u + (uint)i);
            rig.Msix[i].GetEventFd();
        }

        routing.TableChanges.Should().Be(0);
        rig.Enable();
        routing.TableChanges.Should().Be(1, "MSI-X goes on");
        ShouldBeArmed();
        rig.Enable(functionMask: true);
        routing.Routes.Should().OnlyContain(static route => route.Armed == null);
        rig.Enable();
        routing.TableChanges.Should().Be(2, "the function mask goes");
        ShouldBeArmed();
        rig.Rig.Write(4, 2, 2);
        rig.Rig.Write(4, 2, 6);
        routing.TableChanges.Should().Be(3, "bus mastering comes back");
        ShouldBeArmed();
        rig.Disable();
        routing.TableChanges.Should().Be(3);

        void ShouldBeArmed()
        {
            routing.Routes.Select(static route => (int)route.Armed!.Value.Data).Should().Equal(Enumerable.Range(0x40, vectors));
        }
    }

    [Fact]
    [Trait("Behaviour", "KVM-5")]
    public void Eventfds_that_are_made_together_are_armed_together()
    {
        var rig = new MsixRig(8);
        for (int i = 0; i < 8; i++)
        {
            rig.Program(i, 0xfee0_0000, 0x40u + (uint)i, masked: i == 5);
        }

        rig.Enable();
        rig.Msix.CreateEventFds([7, 0, 5, 0, 3]);
        rig.Rig.Routing.TableChanges.Should().Be(1);
        rig.Rig.Routing.Routes.Select(static route => route.Armed?.Data).Should().Equal(0x40, 0x43, null, 0x47);
        rig.Msix.CreateEventFds([0, 3]);
        rig.Msix[7].GetEventFd();
        rig.Rig.Routing.Routes.Should().HaveCount(4);
        rig.Rig.Routing.TableChanges.Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "KVM-5")]
    public void Where_there_is_no_room_for_all_as_many_are_armed_as_have_room()
    {
        var rig = new MsixRig(4);
        for (int i = 0; i < 4; i++)
        {
            rig.Program(i, 0xfee0_0000, 0x40u + (uint)i);
            rig.Msix[i].GetEventFd();
        }

        rig.Rig.Routing.ArmsLeft = 3;
        rig.Enable();
        rig.Rig.Routing.Routes.Count(static route => route.Armed is not null).Should().Be(3);
        rig.Msix.RefusedRoutes.Should().Be(1);
        rig.Msix[0].IsEffective.Should().BeTrue();
        rig.Msix[3].GetEventFd().Signal();
        rig.Mask(3, true);
        rig.Msix[3].IsPending.Should().BeTrue("what nobody delivers stays in the eventfd");
    }

    [Fact]
    [Trait("Behaviour", "MSIX-5")]
    public void What_waited_in_several_eventfds_is_sent_once_each_when_all_are_armed()
    {
        var rig = new MsixRig(3);
        for (int i = 0; i < 3; i++)
        {
            rig.Program(i, 0xfee0_0000, 0x40u + (uint)i);
        }

        rig.Enable(functionMask: true);
        rig.Msix.CreateEventFds([0, 1]);
        rig.Msix[0].GetEventFd().Signal();
        rig.Msix[1].GetEventFd().Signal();
        rig.Msix[2].Signal();
        rig.Enable();
        rig.Rig.Sink.Sent.Select(static sent => sent.Message.Data).Should().BeEquivalentTo([0x40u, 0x41u, 0x42u]);
        rig.PendingBits().Should().Be(0);
    }
}
