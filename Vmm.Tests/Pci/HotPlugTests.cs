using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Pci;
using Vmm.Pci.Bridges;
using static Vmm.Tests.Pci.SlotRig;

namespace Vmm.Tests.Pci;

/// <summary>A root port's slot, operated as a guest's hot-plug driver does.</summary>
[Trait("Behaviour", "PCI-12")]
public sealed class HotPlugTests
{
    private const int Gsi = 18;

    private readonly BridgeRig _rig = new();
    private int _raisedBefore;

    [Fact]
    public void An_empty_slot_is_dark_without_power_and_without_link()
    {
        PciRootPort port = _rig.AddPort(options: new PciRootPortOptions { SlotNumber = 0x123, PowerController = true });
        int express = BridgeRig.Express(port);
        _rig.Read(port, express + 2, 2).Should().Be(0x142, "version 2, root port, with a slot");
        _rig.Read(port, express + 0x14, 4).Should().Be((0x123u << 19) | 0x7b);
        _rig.Read(port, express + 0x18, 2).Should().Be(0x7c0);
        _rig.Read(port, express + 0x1a, 2).Should().Be(0);
        (_rig.Read(port, express + 0xc, 4) & (1 << 20)).Should().NotBe(0, "the port reports when its link is active");
        (_rig.Read(port, express + 0x12, 2) & 0x2000).Should().Be(0);
        (port.IsOccupied, port.IsPowered, port.IsLinkActive, port.PowerIndicator, port.AttentionIndicator).Should()
            .Be((false, false, false, SlotIndicator.Off, SlotIndicator.Off));
        FluentActions.Invoking(() => port.Secondary.Add(PciRig.Function(), 1)).Should().Throw<ArgumentException>().WithMessage("*device 0*");
        FluentActions.Invoking(() => { _ = port.HotRemove(SlotRemoval.Surprise); })
            .Should().Throw<InvalidOperationException>().WithMessage("*empty*");
        FluentActions.Invoking(() => new PciRootPort(new PciRootPortOptions { SlotNumber = 0 })).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_function_that_is_there_from_the_start_needs_no_events()
    {
        PciRootPort port = _rig.AddPort();
        PciFunction function = PciRig.Function();
        port.Secondary.Add(function, 0);
        for (int i = 0; i < 2; i++)
        {
            _rig.Host.Root.AssignResources();
            _rig.Status(port).Should().Be(Present);
            (port.IsPowered, port.IsLinkActive, port.PowerIndicator).Should().Be((true, true, SlotIndicator.On));
            _rig.Read(function, 0, 4).Should().Be(0x1042_1af4);
            _rig.Host.Reset();
        }

        FluentActions.Invoking(() => port.HotAdd(PciRig.Function())).Should().Throw<InvalidOperationException>().WithMessage("*holds*");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Hot_add_presses_the_button_and_the_guest_powers_the_slot_on(bool messages)
    {
        PciRootPort port = Start(messages: messages);
        PciFunction function = Function();
        port.HotAdd(function);
        _rig.Status(port).Should().Be(Present | PresenceChanged | ButtonPressed);
        Interrupts(port, messages).Should().Be(1);
        _rig.Read(new PciAddress(1, 0, 0), 0, 4).Should().Be(0xffff_ffff, "no power");

        _rig.Acknowledge(port, PresenceChanged | ButtonPressed);
        Level(port, messages).Should().BeFalse();
        _rig.Command(port, PowerOff, 0);
        port.IsLinkActive.Should().BeTrue();
        (_rig.Read(port, BridgeRig.Express(port) + 0x12, 2) & 0x2000).Should().Be(0x2000);
        _rig.Status(port).Should().Be(Present | LinkChanged | Completed);
        Interrupts(port, messages).Should().Be(2, "command completed and link state, as one change of the condition");
        _rig.Acknowledge(port, LinkChanged | Completed);
        _rig.Read(new PciAddress(1, 0, 0), 0, 4).Should().Be(0x1042_1af4);

        // The guest gives it addresses, as its rescan does.
        _rig.Write(function, 0x10, 4, (uint)port.MemoryWindow.Base);
        _rig.Write(function, 4, 2, 6);
        function.GetMappedAddress(0).Should().Be(port.MemoryWindow.Base);
        function.IsBusMaster.Should().BeTrue();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Orderly_removal_waits_for_the_guest_to_power_the_slot_off(bool powerController)
    {
        PciRootPort port = Start(new PciRootPortOptions { PowerController = powerController });
        PciFunction function = PowerOn(port);
        Task removal = port.HotRemove(SlotRemoval.Orderly);
        port.HotRemove(SlotRemoval.Orderly).Should().BeSameAs(removal);
        _rig.Status(port).Should().Be(Present | ButtonPressed);
        removal.IsCompleted.Should().BeFalse();
        _rig.Acknowledge(port, ButtonPressed);
        _rig.Command(port, 0x300, (uint)SlotIndicator.Blink << 8);
        port.PowerIndicator.Should().Be(SlotIndicator.Blink);
        function.Bus.Should().NotBeNull();
        function.GetMappedAddress(0).Should().NotBeNull("the guest is still using it");

        if (powerController)
        {
            _rig.Command(port, PowerOff, PowerOff);
        }

        _rig.Command(port, 0x300, (uint)SlotIndicator.Off << 8);
        await removal.WaitAsync(TimeSpan.FromSeconds(30));
        function.Bus.Should().BeNull();
        function.GetMappedAddress(0).Should().BeNull();
        function.Command.Should().Be(Vmm.Pci.ConfigSpace.PciCommand.None, "it is at its power-on state");
        _rig.Status(port).Should().Be(PresenceChanged | LinkChanged | Completed);
        _rig.Read(new PciAddress(1, 0, 0), 0, 4).Should().Be(0xffff_ffff);
    }

    [Fact]
    public void Without_a_request_a_slot_that_is_powered_off_keeps_its_device()
    {
        PciRootPort port = Start();
        PciFunction function = PowerOn(port);
        _rig.Command(port, PowerOff, PowerOff);
        _rig.Status(port).Should().Be(Present | LinkChanged | Completed);
        function.GetMappedAddress(0).Should().BeNull();
        _rig.Read(new PciAddress(1, 0, 0), 0, 4).Should().Be(0xffff_ffff);
        _rig.Command(port, PowerOff, 0);
        _rig.Read(function, 0, 4).Should().Be(0x1042_1af4);
        _rig.Read(function, 4, 2).Should().Be(0, "power was gone");
        _rig.Command(port, PowerOff, PowerOff);
        port.HotRemove(SlotRemoval.Orderly).IsCompletedSuccessfully.Should().BeTrue("nobody uses a slot without power");
        function.Bus.Should().BeNull();
    }

    [Fact]
    public async Task Surprise_removal_is_at_once_and_completes_an_orderly_one()
    {
        PciRootPort port = Start();
        PciFunction function = PowerOn(port);
        Task removal = port.HotRemove(SlotRemoval.Orderly);
        _rig.Acknowledge(port, ButtonPressed);
        port.HotRemove(SlotRemoval.Surprise).IsCompletedSuccessfully.Should().BeTrue();
        await removal.WaitAsync(TimeSpan.FromSeconds(30));
        function.Bus.Should().BeNull();
        _rig.Status(port).Should().Be(PresenceChanged | LinkChanged);
        _rig.Rig.Memory.Read(port.MemoryWindow.Base, 4).Should().Be(0xffff_ffff);
        _rig.Read(new PciAddress(1, 0, 0), 0, 4).Should().Be(0xffff_ffff);
    }

    [Fact]
    public void Without_a_power_controller_the_link_comes_up_at_once()
    {
        PciRootPort port = Start(new PciRootPortOptions());
        port.HotAdd(Function());
        _rig.Status(port).Should().Be(Present | PresenceChanged | LinkChanged);
        _rig.Read(new PciAddress(1, 0, 0), 0, 4).Should().Be(0x1042_1af4);
        _rig.Command(port, PowerOff, PowerOff);
        port.IsPowered.Should().BeTrue("the bit is read-only");
    }

    [Fact]
    public void A_slot_that_is_not_made_for_it_refuses()
    {
        PciRootPort still = Start(new PciRootPortOptions { HotPlug = false });
        FluentActions.Invoking(() => still.HotAdd(Function())).Should().Throw<InvalidOperationException>();
        (_rig.Read(still, BridgeRig.Express(still) + 0x14, 4) & 0x7ffff).Should().Be(0);
        FluentActions.Invoking(() => new PciRootPort().HotAdd(Function())).Should().Throw<InvalidOperationException>().WithMessage("*no bus*");
        PciRootPort plain = _rig.AddPort(5, new PciRootPortOptions { AttentionButton = false });
        plain.Secondary.Add(Function(), 0);
        FluentActions.Invoking(() => { _ = plain.HotRemove(SlotRemoval.Orderly); })
            .Should().Throw<InvalidOperationException>().WithMessage("*button*");
    }

    [Theory]
    [InlineData(0x18, 2, 1u, 1)]
    [InlineData(0x18, 4, 1u, 1)]
    [InlineData(0x19, 1, 0u, 1)]
    [InlineData(0x1a, 2, 0u, 0)]
    public void Every_write_of_slot_control_and_none_of_slot_status_is_a_command(int offset, int width, uint value, int commands)
    {
        PciRootPort port = Start();
        _rig.Write(port, BridgeRig.Express(port) + 0x18, 2, 0x17ff);
        _rig.Acknowledge(port, Completed);
        _rig.Write(port, BridgeRig.Express(port) + offset, width, value);
        (_rig.Status(port) & Completed).Should().Be((uint)commands * Completed);
    }

    [Fact]
    public void The_interrupt_follows_the_enables()
    {
        PciRootPort port = Start();
        _rig.Write(port, BridgeRig.Express(port) + 0x18, 2, PowerOff);
        _rig.Acknowledge(port, Completed);
        _rig.Rig.Sink.Clear();
        port.HotAdd(Function());
        _rig.Rig.Sink.Count.Should().Be(0, "nothing is enabled");
        _rig.Write(port, BridgeRig.Express(port) + 0x18, 2, PowerOff | 0x20);
        _rig.Rig.Sink.Count.Should().Be(0, "no event is enabled");
        _rig.Write(port, BridgeRig.Express(port) + 0x18, 2, PowerOff | 0x28);
        _rig.Rig.Sink.Count.Should().Be(1, "a waiting event was enabled");
        _rig.Write(port, BridgeRig.Express(port) + 0x18, 2, PowerOff | 0x29);
        _rig.Rig.Sink.Count.Should().Be(1, "one condition, one message");
        _rig.Acknowledge(port, 0xffff);
        port.HotRemove(SlotRemoval.Surprise).IsCompleted.Should().BeTrue();
        _rig.Rig.Sink.Count.Should().Be(2);
    }

    [Fact]
    public void Secondary_bus_reset_and_link_disable_take_the_link_down()
    {
        PciRootPort port = Start();
        PciFunction function = PowerOn(port);
        foreach ((int offset, uint value) in new[] { (0x3e, 0x40u), (BridgeRig.Express(port) + 0x10, 0x10u) })
        {
            _rig.Write(function, 0x3c, 1, 5);
            _rig.Write(port, offset, 2, value);
            port.IsLinkActive.Should().BeFalse();
            _rig.Read(function.Address, 0, 4).Should().Be(0xffff_ffff);
            _rig.Status(port).Should().Be(Present | LinkChanged);
            _rig.Acknowledge(port, LinkChanged);
            _rig.Write(port, offset, 2, 0);
            port.IsLinkActive.Should().BeTrue();
            _rig.Read(function, 0x3c, 1).Should().Be(0, "the function was reset");
            _rig.Acknowledge(port, LinkChanged);
        }
    }

    [Fact]
    public void A_device_of_several_functions_comes_and_goes_whole()
    {
        PciRootPort port = Start();
        PciFunction[] functions = new[] { Function(), Function(), Function() };
        port.HotAdd(functions[0], functions[1], functions[2]);
        _rig.Command(port, PowerOff, 0);
        _rig.Read(new PciAddress(1, 0, 2), 0, 4).Should().Be(0x1042_1af4);
        _rig.Read(new PciAddress(1, 0, 0), 0xe, 1).Should().Be(0x80);
        port.HotRemove(SlotRemoval.Surprise).IsCompleted.Should().BeTrue();
        functions.Should().OnlyContain(static function => function.Bus == null);
    }

    [Fact]
    public void Fifty_devices_come_and_go()
    {
        PciRootPort port = Start();
        PciFunction function = Function();
        for (int i = 0; i < 50; i++)
        {
            port.HotAdd(function);
            _rig.Acknowledge(port, 0xffff);
            _rig.Command(port, PowerOff, 0);
            _rig.Write(function, 0x10, 4, (uint)port.MemoryWindow.Base);
            _rig.Write(function, 4, 2, 6);
            _rig.Rig.Memory.Read(port.MemoryWindow.Base, 4).Should().Be(0x77);
            Task removal = port.HotRemove(i % 2 == 0 ? SlotRemoval.Orderly : SlotRemoval.Surprise);
            _rig.Acknowledge(port, 0xffff);
            _rig.Command(port, PowerOff, PowerOff);
            removal.IsCompletedSuccessfully.Should().BeTrue();
            _rig.Rig.Memory.Read(port.MemoryWindow.Base, 4).Should().Be(0xffff_ffff);
        }

        function.Dispose();
    }

    [Fact]
    public void A_reset_of_the_machine_ends_an_orderly_removal()
    {
        PciRootPort port = Start();
        PciFunction function = PowerOn(port);
        Task removal = port.HotRemove(SlotRemoval.Orderly);
        _rig.Host.Reset();
        removal.IsCompletedSuccessfully.Should().BeTrue();
        function.Bus.Should().BeNull();
        port.IsOccupied.Should().BeFalse();
    }

    [Fact]
    public async Task Accesses_and_removals_race_without_harm()
    {
        PciRootPort port = Start(new PciRootPortOptions());
        bool stop = false;
        Task<uint> vcpu = Task.Run(() =>
        {
            var address = new PciAddress(1, 0, 0);
            uint seen = 0;
            while (!Volatile.Read(ref stop))
            {
                ulong ecam = PciRig.Ecam + ((ulong)address.RequesterId << 12);
                uint id = (uint)_rig.Rig.Memory.Read(ecam, 4);
                seen |= id is 0xffff_ffff or 0x1042_1af4 ? 0u : 1u;
                _rig.Rig.Memory.Write(ecam + 0x10, 4, (uint)port.MemoryWindow.Base);
                _rig.Rig.Memory.Write(ecam + 4, 2, 6);
                uint value = (uint)_rig.Rig.Memory.Read(port.MemoryWindow.Base, 4);
                seen |= value is 0xffff_ffff or 0x77 ? 0u : 2u;
            }

            return seen;
        });
        for (int i = 0; i < 200; i++)
        {
            PciFunction function = Function();
            port.HotAdd(function);
            _ = port.HotRemove(SlotRemoval.Surprise);
            function.Dispose();
        }

        Volatile.Write(ref stop, true);
        (await vcpu).Should().Be(0);
        _rig.Rig.Memory.Read(port.MemoryWindow.Base, 4).Should().Be(0xffff_ffff);
    }

    private int Interrupts(PciRootPort port, bool messages)
    {
        return messages ? _rig.Rig.Sink.Count : _rig.Rig.Lines[Gsi].Levels.Count(static level => level) - _raisedBefore;
    }

    private bool Level(PciRootPort port, bool messages) => !messages && _rig.Rig.Lines[Gsi].IsAsserted;

    /// <summary>
    /// A port, with power control unless told otherwise, as a guest's drivers set it up: numbered, forwarding, hot-plug events enabled.
    /// </summary>
    private PciRootPort Start(PciRootPortOptions? options = null, bool messages = true)
    {
        PciRootPort port = _rig.AddPort(options: options ?? new PciRootPortOptions { PowerController = true });
        _rig.Host.Root.AssignResources();
        _rig.Write(port, 4, 2, 7);
        if (messages)
        {
            _rig.EnableMessages(port);
        }

        _rig.Command(port, 0, 0x103b);
        _rig.Acknowledge(port, 0xffff);
        _rig.Rig.Sink.Clear();
        if (!messages)
        {
            _rig.Rig.Lines[Gsi].IsAsserted.Should().BeFalse();
            _raisedBefore = _rig.Rig.Lines[Gsi].Levels.Count(static level => level);
        }

        return port;
    }

    /// <summary>Adds a function, and does what the guest does until it runs.</summary>
    private PciFunction PowerOn(PciRootPort port)
    {
        PciFunction function = Function();
        port.HotAdd(function);
        _rig.Command(port, PowerOff | 0x300, (uint)SlotIndicator.On << 8);
        _rig.Write(function, 0x10, 4, (uint)port.MemoryWindow.Base);
        _rig.Write(function, 4, 2, 6);
        function.GetMappedAddress(0).Should().NotBeNull();
        _rig.Acknowledge(port, 0xffff);
        _rig.Rig.Sink.Clear();
        return function;
    }
}
