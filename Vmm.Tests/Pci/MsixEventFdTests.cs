using System;
using System.Linq;
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
        var eventFd = rig.Msix[1].GetEventFd();
        rig.Msix[1].GetEventFd().Should().BeSameAs(eventFd);
        var route = rig.Rig.Routing.Routes.Single();
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
        var eventFd = rig.Msix[1].GetEventFd();
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
        var eventFd = rig.Msix[1].GetEventFd();
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
        var eventFd = rig.Msix[1].GetEventFd();
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
        var eventFd = rig.Msix[0].GetEventFd();
        var route = rig.Rig.Routing.Routes.Single();
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
        var route = rig.Rig.Routing.Routes.Single();
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
        var armed = rig.Msix[0].GetEventFd();
        var masked = rig.Msix[1].GetEventFd();
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
        var eventFd = rig.Msix[1].GetEventFd();
        eventFd.Signal();
        rig.Msix[1].IsPending.Should().BeTrue("nothing delivers it");
        rig.Msix.Dispose();
        rig.Rig.Routing.LiveRoutes.Should().Be(0);
    }

    [Fact]
    public void Eventfds_and_routes_go_when_the_function_leaves_its_bus()
    {
        var rig = new MsixRig();
        var eventFd = rig.Msix[0].GetEventFd();
        rig.Msix[3].GetEventFd();
        rig.Rig.Bridge.Root.Remove(rig.Function);
        rig.Rig.Routing.LiveRoutes.Should().Be(0);
        FluentActions.Invoking(() => rig.Msix[0].GetEventFd()).Should().Throw<InvalidOperationException>().WithMessage("*interrupt routing*");
        rig.Rig.Add(rig.Function, 5);
        rig.Msix[0].GetEventFd().Should().NotBeSameAs(eventFd);
        rig.Rig.Routing.LiveRoutes.Should().Be(1);
        FluentActions.Invoking(() => new MsixCapability(1, 0, 0, 0, 16)[0].GetEventFd()).Should().Throw<InvalidOperationException>();
    }
}
