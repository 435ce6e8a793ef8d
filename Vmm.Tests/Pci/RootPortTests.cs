using System;
using System.Linq;
using System.Threading.Tasks;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Bridges;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Host;
using Vmm.Pci.Interrupts;

namespace Vmm.Tests.Pci;

/// <summary>A root port as a bridge with a link and a slot: what PCIe base 6.7 and 7.5.3 ask of it beyond a conventional bridge.</summary>
[Trait("Behaviour", "PCI-12")]
public sealed class RootPortTests
{
    [Fact]
    public void It_is_a_bridge_by_its_header_with_power_management_express_and_message_capabilities()
    {
        var rig = new SlotRig();
        rig.Bridges.Read(rig.Port, 0x0e, 1).Should().Be(1);
        rig.Bridges.Read(rig.Port, 0x0a, 2).Should().Be(0x0604);
        rig.Bridges.Read(rig.Port, 0x3d, 1).Should().Be(1, "INTA");
        rig.Bridges.Read(rig.Port, 0x18, 4).Should().Be(0x0001_0100);
        rig.Port.Capabilities.Select(static capability => (int)capability.Id).Should().Equal(1, 0x10, 5);
        rig.Bridges.Read(rig.Port, rig.Express + 4, 4).Should().Be(0x8000, "no function-level reset: that is for endpoints");
    }

    [Theory]
    [InlineData(true, true, 0x7bu, 0x17f9u)]
    [InlineData(false, true, 0x7au, 0x17f8u)]
    [InlineData(true, false, 0x79u, 0x13f9u)]
    [InlineData(false, false, 0x78u, 0x13f8u)]
    public void Slot_registers_have_what_the_slot_has(bool button, bool power, uint capabilities, uint writable)
    {
        // Slot Capabilities: button 0, power controller 1, attention 3 and power indicator 4, surprise 5, hot-plug 6; no MRL, no interlock.
        var rig = new SlotRig(new PciRootPortOptions { AttentionButton = button, PowerController = power, SlotNumber = 8191 });
        rig.Bridges.Read(rig.Port, rig.Express + 0x14, 4).Should().Be((8191u << 19) | capabilities);
        rig.Bridges.Read(rig.Port, rig.Express + 0x0c, 4).Should().Be(
            (0xffu << 24) | (1u << 20) | (1u << 22) | 0x11, "the port's number is 8 bits wide");
        rig.Control = 0xffff;

        // No power faults are detected and there is no latch (MRL): their enables, bits 1 and 2, stay zero.
        rig.Control.Should().Be(writable);
        rig.Control = 0;
        rig.Control.Should().Be(0);
    }

    [Fact]
    public void Indicators_show_what_the_guest_writes()
    {
        var rig = new SlotRig();
        foreach (SlotIndicator indicator in new[] { SlotIndicator.On, SlotIndicator.Blink, SlotIndicator.Off })
        {
            rig.Control = (rig.Control & ~0x3c0u) | ((uint)indicator << 6);
            (rig.Port.AttentionIndicator, rig.Port.PowerIndicator).Should().Be((indicator, SlotIndicator.Reserved));
            rig.Control = (rig.Control & ~0x3c0u) | ((uint)indicator << 8);
            (rig.Port.AttentionIndicator, rig.Port.PowerIndicator).Should().Be((SlotIndicator.Reserved, indicator));
        }
    }

    [Fact]
    public void Each_command_that_completes_is_one_interrupt_once_the_last_one_was_acknowledged()
    {
        var rig = new SlotRig();
        for (int i = 1; i <= 3; i++)
        {
            rig.Control |= 0x40;
            rig.Status.Should().Be(SlotRig.Completed);
            rig.Messages.Should().Be(i);
            rig.Control |= 0x40;
            rig.Messages.Should().Be(i, "the event still waits");
            rig.Acknowledge(SlotRig.Completed);
            rig.Status.Should().Be(0);
        }

        rig.Control &= ~0x10u;
        rig.Status.Should().Be(SlotRig.Completed);
        rig.Messages.Should().Be(3, "the event is not enabled");
    }

    [Theory]
    [InlineData(SlotRig.ButtonPressed, 1u)]
    [InlineData(SlotRig.PresenceChanged, 8u)]
    [InlineData(SlotRig.LinkChanged, 0x1000u)]
    public void Each_event_has_its_own_enable(uint happened, uint enable)
    {
        // The button is pressed by an orderly request; presence and link change by a surprise.
        var rig = new SlotRig();
        rig.Run();
        rig.Control = (rig.Control & ~SlotRig.AllEvents) | enable | 0x20;
        rig.Acknowledge(0xffff);
        rig.Bridges.Rig.Sink.Clear();
        _ = rig.Port.HotRemove(happened == SlotRig.ButtonPressed ? SlotRemoval.Orderly : SlotRemoval.Surprise);
        (rig.Status & happened).Should().Be(happened);
        rig.Messages.Should().Be(1);
        rig.Acknowledge(happened);
        rig.Control = (rig.Control & ~enable) | 0x20;
        rig.Messages.Should().Be(1);
    }

    [Fact]
    public void The_pin_stays_up_until_the_last_event_is_acknowledged()
    {
        var rig = new SlotRig();
        rig.Bridges.Write(rig.Port, rig.Port.Msi!.Offset + 2, 2, 0);
        rig.Run();
        RecordingInterruptLine line = rig.Bridges.Rig.Lines[18];
        line.IsAsserted.Should().BeFalse();
        rig.Port.HotRemove(SlotRemoval.Surprise).IsCompleted.Should().BeTrue();
        line.IsAsserted.Should().BeTrue();
        rig.Acknowledge(SlotRig.PresenceChanged);
        line.IsAsserted.Should().BeTrue("the link changed too");
        rig.Acknowledge(SlotRig.LinkChanged);
        line.IsAsserted.Should().BeFalse();
        rig.Messages.Should().Be(0);
    }

    [Fact]
    public void An_event_that_waits_when_messages_are_switched_on_or_unmasked_is_told()
    {
        var rig = new SlotRig();
        int msi = rig.Port.Msi!.Offset;
        rig.Bridges.Write(rig.Port, msi + 2, 2, 0);
        rig.Port.HotAdd(SlotRig.Function());
        rig.Messages.Should().Be(0);
        rig.Bridges.Write(rig.Port, msi + 2, 2, 1);
        rig.Messages.Should().Be(1);
        rig.Acknowledge(0xffff);

        rig.Bridges.Write(rig.Port, msi + 16, 4, 1);
        rig.Port.HotRemove(SlotRemoval.Surprise).IsCompleted.Should().BeTrue();
        rig.Messages.Should().Be(1, "the vector is masked");
        rig.Bridges.Write(rig.Port, msi + 16, 4, 0);
        rig.Messages.Should().Be(2);
        rig.Bridges.Write(rig.Port, msi + 2, 2, 0);
        rig.Acknowledge(0xffff);
        rig.Bridges.Write(rig.Port, msi + 2, 2, 1);
        rig.Messages.Should().Be(2, "nothing waits");
    }

    [Fact]
    public void A_port_whose_bus_is_in_reset_or_whose_link_is_disabled_takes_a_function_without_a_link()
    {
        foreach (bool reset in new[] { true, false })
        {
            var rig = new SlotRig(new PciRootPortOptions());
            rig.Bridges.Write(rig.Port, reset ? 0x3e : rig.Express + 0x10, 2, reset ? 0x40u : 0x10u);
            rig.Port.HotAdd(SlotRig.Function());
            rig.Status.Should().Be(SlotRig.Present | SlotRig.PresenceChanged);
            (rig.LinkActive, rig.Id).Should().Be((false, 0xffff_ffff));
            rig.Bridges.Write(rig.Port, reset ? 0x3e : rig.Express + 0x10, 2, 0);
            rig.Status.Should().Be(SlotRig.Present | SlotRig.PresenceChanged | SlotRig.LinkChanged);
            (rig.LinkActive, rig.Id).Should().Be((true, 0x1042_1af4));
        }
    }

    [Fact]
    public void A_function_that_is_put_on_the_bus_directly_gets_no_link_while_it_is_disabled()
    {
        var rig = new SlotRig();
        rig.Link = 0x10;
        rig.Port.Secondary.Add(SlotRig.Function(), 0);
        (rig.LinkActive, rig.Id).Should().Be((false, 0xffff_ffff));
        rig.Link = 0;
        (rig.LinkActive, rig.Id).Should().Be((true, 0x1042_1af4));
    }

    [Fact]
    public void A_window_forwards_what_lies_wholly_in_it()
    {
        var rig = new SlotRig(new PciRootPortOptions());
        PciFunction function = PciRig.Function(
            PciRig.Bar(0, PciBarKind.Memory32, 0x20_0000, new RecordingHandler(0x20_0000)),
            PciRig.Bar(1, PciBarKind.Io, 256, new RecordingHandler(256)));
        rig.Port.HotAdd(function);
        rig.Bridges.Write(function, 4, 2, 3);
        rig.Bridges.Write(function, 0x10, 4, 0xc140_0000);
        rig.Bridges.Write(function, 0x14, 4, 0xcf00);

        // The last MiB, then the first one, is outside; then all of it is inside to the last byte.
        rig.Bridges.Write(rig.Port, 0x20, 4, 0xc140_c140);
        function.GetMappedAddress(0).Should().BeNull();
        rig.Bridges.Write(rig.Port, 0x20, 4, 0xc150_c150);
        function.GetMappedAddress(0).Should().BeNull();
        rig.Bridges.Write(rig.Port, 0x20, 4, 0xc150_c140);
        function.GetMappedAddress(0).Should().Be(0xc140_0000);
        rig.Bridges.Write(rig.Port, 0x20, 4, 0xc140_c150);
        function.GetMappedAddress(0).Should().BeNull("limit below base: closed");

        rig.Bridges.Write(rig.Port, 0x1c, 2, 0xc0c0);
        function.GetMappedAddress(1).Should().Be(0xcf00, "the last 256 ports of 0xc000 to 0xcfff");
        rig.Bridges.Write(rig.Port, 0x1c, 2, 0xc0d0);
        function.GetMappedAddress(1).Should().BeNull("limit below base: closed");
        rig.Bridges.Write(rig.Port, 0x1c, 2, 0xd0d0);
        function.GetMappedAddress(1).Should().BeNull();
    }

    [Fact]
    public void A_memory_window_does_not_reach_above_4_GiB_and_a_prefetchable_one_ends_where_it_says()
    {
        var rig = new SlotRig(new PciRootPortOptions());
        PciFunction function = PciRig.Function(PciRig.Bar(0, PciBarKind.Memory64, 0x10_0000, new RecordingHandler(0x10_0000)));
        rig.Port.HotAdd(function);
        rig.Bridges.Write(function, 4, 2, 2);
        rig.Bridges.Write(function, 0x10, 4, 0xc140_0000);
        rig.Bridges.Write(function, 0x14, 4, 0x40);
        rig.Bridges.Write(rig.Port, 0x20, 4, 0xc140_c140);
        rig.Bridges.Write(rig.Port, 0x24, 4, 0x0000_fff0);
        rig.Bridges.Write(rig.Port, 0x28, 4, 0);
        rig.Bridges.Write(rig.Port, 0x2c, 4, 0);
        function.GetMappedAddress(0).Should().BeNull();
        rig.Bridges.Write(rig.Port, 0x24, 4, 0xc130_c140);
        rig.Bridges.Write(rig.Port, 0x28, 4, 0x3f);
        rig.Bridges.Write(rig.Port, 0x2c, 4, 0x40);
        function.GetMappedAddress(0).Should().BeNull("it ends one MiB too early");
        rig.Bridges.Write(rig.Port, 0x26, 2, 0xc140);
        function.GetMappedAddress(0).Should().Be(0x40_c140_0000);
        rig.Bridges.Write(rig.Port, 0x28, 4, 0x40);
        function.GetMappedAddress(0).Should().Be(0x40_c140_0000, "it starts exactly there");
        rig.Bridges.Write(rig.Port, 0x24, 2, 0xc150);
        function.GetMappedAddress(0).Should().BeNull("it starts one MiB too late");
    }

    [Theory]
    [Trait("Behaviour", "PCI-9")]
    [InlineData(InterruptPin.A, 18)]
    [InlineData(InterruptPin.B, 19)]
    [InlineData(InterruptPin.C, 16)]
    [InlineData(InterruptPin.D, 17)]
    public void Pins_of_the_device_in_the_slot_are_the_pins_of_the_port(InterruptPin pin, int gsi)
    {
        var rig = new SlotRig(new PciRootPortOptions());
        var function = new PciFunction(PciRig.Identity, new PciFunctionOptions { Pin = pin });
        rig.Port.HotAdd(function);
        function.Intx.SetLevel(true);
        rig.Bridges.Rig.Lines[gsi].IsAsserted.Should().BeTrue();
        rig.Port.HotRemove(SlotRemoval.Surprise).IsCompleted.Should().BeTrue();
        rig.Bridges.Rig.Lines[gsi].IsAsserted.Should().BeFalse("a pin that is not there any more holds no wire");
    }

    [Fact]
    [Trait("Behaviour", "PCI-9")]
    public void What_is_behind_a_port_can_have_wires_of_its_own()
    {
        var lines = new RecordingInterruptLines();
        var host = new PciHostBridge(new PciHostBridgeOptions
        {
            Memory = new AddressSpace(new AddressSpaceOptions()),
            InterruptLines = lines,
            PortInterruptRouting = new PciInterruptRouting(20),
        });
        var port = new PciRootPort();
        var bridge = new PciBridge(BridgeRig.BridgeIdentity);
        using var source = new EventFd();
        using var resample = new EventFd();
        host.Root.Add(port, 6);
        host.Root.Add(bridge, 3);
        foreach ((PciBus bus, int device, InterruptPin pin, int gsi)
            in new[] { (port.Secondary, 0, InterruptPin.B, 23), (bridge.Secondary, 1, InterruptPin.A, 16) })
        {
            var function = new PciFunction(PciRig.Identity, new PciFunctionOptions { Pin = pin });
            bus.Add(function, device);
            function.Intx.SetLevel(true);
            lines[gsi].IsAsserted.Should().BeTrue();
            using (bus.ConnectPin(function, source, resample))
            {
                lines.Connections.Should().Equal((gsi, source, resample));
            }

            bus.Remove(function);
            lines[gsi].IsAsserted.Should().BeFalse();
        }

        port.Intx.SetLevel(true);
        lines[18].IsAsserted.Should().BeTrue("the port's own pin is one of bus 0");
    }

    [Fact]
    [Trait("Behaviour", "PCI-8")]
    public void Messages_from_behind_the_port_need_its_bus_mastering_and_carry_its_bus_number()
    {
        var rig = new SlotRig(new PciRootPortOptions());
        var msi = new MsiCapability(1);
        PciFunction function = PciRig.Function();
        function.AddCapability(msi);
        rig.Port.HotAdd(function);
        rig.Bridges.Write(function, 4, 2, 4);
        rig.Bridges.Write(function, msi.Offset + 2, 2, 1);
        rig.Acknowledge(0xffff);
        rig.Bridges.Rig.Sink.Clear();
        rig.Bridges.Write(rig.Port, 4, 2, 3);
        msi[0].Signal();
        rig.Messages.Should().Be(0);
        rig.Bridges.Write(rig.Port, 4, 2, 7);
        rig.Bridges.Rig.Sink.Sent.Select(static sent => sent.RequesterId).Should().Equal(0x100u);
    }

    [Fact]
    public void The_slot_is_told_apart_from_a_slot_that_is_not_in_use()
    {
        // Without power control the guest says by the power indicator that it does not use the slot.
        var rig = new SlotRig(new PciRootPortOptions());
        rig.Port.HotAdd(SlotRig.Function());
        rig.Control = (rig.Control & ~SlotRig.IndicatorOff) | SlotRig.IndicatorOn;
        Task removal = rig.Port.HotRemove(SlotRemoval.Orderly);
        removal.IsCompleted.Should().BeFalse();
        rig.Control = (rig.Control & ~SlotRig.IndicatorOff) | 0x200;
        removal.IsCompleted.Should().BeFalse("it blinks");
        rig.Control |= SlotRig.IndicatorOff;
        removal.IsCompletedSuccessfully.Should().BeTrue();

        rig.Port.HotAdd(SlotRig.Function());
        rig.Port.HotRemove(SlotRemoval.Orderly).IsCompletedSuccessfully.Should().BeTrue("the indicator is off: nobody uses it");
        rig.Port.IsOccupied.Should().BeFalse();
    }

    [Fact]
    public void A_device_of_several_functions_that_does_not_fit_leaves_the_slot_empty()
    {
        var rig = new SlotRig();
        PciFunction first = SlotRig.Function();
        PciFunction elsewhere = SlotRig.Function();
        rig.Bridges.Host.Root.Add(elsewhere, 9);
        FluentActions.Invoking(() => rig.Port.HotAdd(first, elsewhere)).Should().Throw<ArgumentException>();
        first.Bus.Should().BeNull();
        rig.Status.Should().Be(0);
        rig.Port.HotAdd(first, SlotRig.Function());
        rig.Port.Secondary.Functions.Should().HaveCount(2);
    }
}
