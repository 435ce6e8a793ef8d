using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.Kvm;

namespace Vmm.Tests.Kvm;

public sealed class KvmIrqRoutingTests : IDisposable
{
    private const int ControllerRows = 40;
    private readonly FakeVmCalls _kernel = new();
    private readonly EventFd _event = new();

    [Fact]
    [Trait("Behaviour", "KVM-5")]
    public void Nothing_is_spent_before_the_first_arming()
    {
        KvmIrqRouting routing = Make();
        using IIrqRoute route = routing.CreateRoute(_event);
        _kernel.Log.Should().BeEmpty();
        routing.RouteCount.Should().Be(0);

        route.Arm(new MsiMessage(0xFEE0_0000, 0x41));
        _kernel.Log.Should().Equal("routes 41 24=0:FEE00000/41", "assign 24");
    }

    [Fact]
    [Trait("Behaviour", "KVM-4")]
    public void A_changed_message_is_deassigned_routed_assigned()
    {
        using IIrqRoute route = Make().CreateRoute(_event);
        route.Arm(new MsiMessage(0xFEE0_0000, 0x41));
        _kernel.Log.Clear();
        route.Arm(new MsiMessage(0x1_FEE0_1000, 0x42));
        _kernel.Log.Should().Equal("deassign 24", "routes 41 24=1:FEE01000/42", "assign 24");
    }

    [Fact]
    [Trait("Behaviour", "KVM-4")]
    public void Masking_only_deassigns_and_unmasking_with_the_same_message_only_assigns()
    {
        KvmIrqRouting routing = Make();
        using IIrqRoute route = routing.CreateRoute(_event);
        route.Arm(new MsiMessage(0xFEE0_0000, 0x41));
        _kernel.Log.Clear();
        route.Disarm();
        route.Disarm();
        routing.ArmedCount.Should().Be(0);
        route.Arm(new MsiMessage(0xFEE0_0000, 0x41));
        route.Arm(new MsiMessage(0xFEE0_0000, 0x41));
        _kernel.Log.Should().Equal("deassign 24", "assign 24");
        routing.ArmedCount.Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "KVM-4")]
    public void A_route_leaves_the_table_only_after_its_irqfd()
    {
        KvmIrqRouting routing = Make();
        using var other = new EventFd();
        IIrqRoute first = routing.CreateRoute(_event);
        using IIrqRoute second = routing.CreateRoute(other);
        first.Arm(new MsiMessage(0xFEE0_0000, 0x41));
        _kernel.Log.Clear();
        first.Dispose();
        second.Arm(new MsiMessage(0xFEE0_0000, 0x42));
        _kernel.Log.Should().Equal("deassign 24", "routes 41 24=0:FEE00000/42", "assign 24");
    }

    [Fact]
    [Trait("Behaviour", "KVM-4")]
    public void What_the_assignment_delivers_does_not_stay_in_the_eventfd()
    {
        using IIrqRoute route = Make().CreateRoute(_event);
        _event.Signal();
        route.Arm(new MsiMessage(0xFEE0_0000, 0x41));
        _event.TryConsume(out _).Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "KVM-5")]
    public void Arming_many_sets_the_table_once()
    {
        KvmIrqRouting routing = Make();
        List<EventFd> events = [.. Enumerable.Range(0, 100).Select(_ => new EventFd())];
        List<RouteArming> armings = [.. events.Select(
            (e, i) => new RouteArming(routing.CreateRoute(e), new MsiMessage(0xFEE0_0000, (uint)(32 + i))))];
        routing.ArmAll(armings);

        _kernel.CountOf("routes").Should().Be(1);
        _kernel.CountOf("assign").Should().Be(100);
        routing.RouteCount.Should().Be(100);
        armings.ForEach(arming => arming.Route.Dispose());
        routing.RouteCount.Should().Be(0);
        routing.ArmedCount.Should().Be(0);
        _kernel.CountOf("deassign").Should().Be(100);
        events.ForEach(e => e.Dispose());
    }

    [Fact]
    [Trait("Behaviour", "KVM-9")]
    public void If_one_of_many_is_refused_none_stays()
    {
        KvmIrqRouting routing = Make();
        using var other = new EventFd();
        _kernel.Answer = line => line == "assign 25" ? -16 : 0;
        Action arm = () => routing.ArmAll(
            [
                new RouteArming(routing.CreateRoute(_event), new MsiMessage(0xFEE0_0000, 1)),
                new RouteArming(routing.CreateRoute(other), new MsiMessage(0xFEE0_0000, 2)),
            ]);
        arm.Should().Throw<HostException>().WithMessage("KVM_IRQFD*GSI 25*errno 16*");
        routing.RouteCount.Should().Be(0);
        routing.ArmedCount.Should().Be(0);
        _kernel.Log.Should().EndWith("deassign 24");
    }

    [Fact]
    [Trait("Behaviour", "KVM-9")]
    public void Exhaustion_names_the_limit_and_freed_routes_are_used_again()
    {
        KvmIrqRouting routing = Make(ControllerRows + 2);
        using var second = new EventFd();
        using var third = new EventFd();
        IIrqRoute first = routing.CreateRoute(_event);
        first.Arm(new MsiMessage(0xFEE0_0000, 1));
        using IIrqRoute other = routing.CreateRoute(second);
        other.Arm(new MsiMessage(0xFEE0_0000, 2));
        using IIrqRoute late = routing.CreateRoute(third);
        Action arm = () => late.Arm(new MsiMessage(0xFEE0_0000, 3));
        arm.Should().Throw<HostException>().WithMessage("*all 2 message routes*KVM_CAP_IRQ_ROUTING, 42*");
        first.Dispose();
        arm.Should().NotThrow();
        routing.RouteCount.Should().Be(2);
    }

    [Fact]
    public void A_disposed_route_cannot_be_armed_and_disposing_twice_is_harmless()
    {
        KvmIrqRouting routing = Make();
        IIrqRoute route = routing.CreateRoute(_event);
        route.Arm(new MsiMessage(0xFEE0_0000, 1));
        route.Dispose();
        route.Dispose();
        _kernel.CountOf("deassign").Should().Be(1);
        route.Invoking(r => r.Arm(new MsiMessage(0xFEE0_0000, 1))).Should().Throw<ObjectDisposedException>();
        route.Invoking(r => r.Disarm()).Should().NotThrow();
    }

    [Fact]
    public void Without_interrupt_controllers_the_table_holds_messages_only()
    {
        var routing = new KvmIrqRouting(_kernel, 4096, interruptController: false, NullLogger.Instance);
        using IIrqRoute route = routing.CreateRoute(_event);
        route.Arm(new MsiMessage(0xFEE0_0000, 1));
        _kernel.Log.Should().StartWith("routes 1 24=0:FEE00000/1");
    }

    public void Dispose() => _event.Dispose();

    private KvmIrqRouting Make(int limit = 4096) => new(_kernel, limit, interruptController: true, NullLogger.Instance);
}
