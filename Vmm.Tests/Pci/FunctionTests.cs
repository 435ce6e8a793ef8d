using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Interrupts;

namespace Vmm.Tests.Pci;

/// <summary>Command, Status, bus mastering, the pin and reset.</summary>
public sealed class FunctionTests
{
    private readonly PciRig _rig = new();

    [Fact]
    [Trait("Behaviour", "PCI-1")]
    public void Command_keeps_its_defined_bits_and_status_is_write_1_to_clear()
    {
        PciFunction function = _rig.Add(PciRig.Function());
        _rig.Write(4, 2, 0xffff);
        _rig.Read(4, 2).Should().Be(0x0547);
        function.ConfigurationSpace.Update(4, 0xf900_0000, 0xf900_0000);
        _rig.Read(6, 2).Should().Be(0xf900);
        _rig.Write(7, 1, 0x80);
        _rig.Read(6, 2).Should().Be(0x7900);
        _rig.Write(4, 2, 0);
        _rig.Read(6, 2).Should().Be(0x7900);
        _rig.PortWrite(6, 2, 0xffff);
        _rig.Read(6, 2).Should().Be(0);
        function.Status.Should().Be(PciStatus.None);
    }

    [Fact]
    [Trait("Behaviour", "PCI-8")]
    public void Bus_master_enable_gates_dma()
    {
        var dma = new DmaTarget(new GuestMemory());
        var function = new ObservedFunction(dma);
        dma.Enabled.Should().BeFalse("power-on");
        _rig.Add(function);
        _rig.Write(4, 2, 4);
        dma.Enabled.Should().BeTrue();
        function.IsBusMaster.Should().BeTrue();
        _rig.Write(4, 2, 6);
        function.BusMasterChanges.Should().Be(1);
        _rig.Write(4, 1, 0);
        dma.Enabled.Should().BeFalse();
        function.BusMasterChanges.Should().Be(2);
    }

    [Fact]
    [Trait("Behaviour", "PCI-8")]
    public void Interrupt_status_follows_the_pin_and_interrupt_disable_gates_the_wire()
    {
        PciFunction function = _rig.Add(new ObservedFunction(null));
        int gsi = _rig.Bridge.Root.InterruptRouting.GetGsi(3, InterruptPin.A);
        _rig.Read(0x3d, 1).Should().Be(1);

        function.Intx.SetLevel(true);
        (_rig.Read(6, 2) & 8).Should().Be(8);
        _rig.Lines[gsi].IsAsserted.Should().BeTrue();

        _rig.Write(4, 2, 0x400);
        _rig.Lines[gsi].IsAsserted.Should().BeFalse();
        (_rig.Read(6, 2) & 8).Should().Be(8, "the interrupt is still pending in the function");
        _rig.Write(5, 1, 0);
        _rig.Lines[gsi].IsAsserted.Should().BeTrue();

        function.Intx.SetLevel(false);
        (_rig.Read(6, 2) & 8).Should().Be(0);
        _rig.Lines[gsi].Levels.Should().Equal(true, false, true, false);
        _rig.Write(6, 2, 0xffff);
        function.Intx.IsDriven.Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "PCI-9")]
    public void Shared_wires_are_ored_and_the_routing_table_says_where_they_go()
    {
        PciInterruptRouting routing = _rig.Bridge.Root.InterruptRouting;
        routing.GetGsi(3, InterruptPin.A).Should().Be(19);
        routing.GetGsi(4, InterruptPin.A).Should().Be(16);
        routing.GetGsi(3, InterruptPin.B).Should().Be(16);
        routing.Routes.Should().HaveCount(128).And.OnlyContain(
            route => route.Gsi == routing.GetGsi(route.Device, route.Pin) && route.Gsi >= 16 && route.Gsi < 20);
        new PciInterruptRouting(16, 8).GetGsi(7, InterruptPin.D).Should().Be(18);
        PciInterruptRouting.Swizzle(1, InterruptPin.D).Should().Be(InterruptPin.A);
        PciInterruptRouting.Swizzle(0, InterruptPin.B).Should().Be(InterruptPin.B);

        PciFunction first = _rig.Add(new ObservedFunction(null), 3);
        PciFunction second = _rig.Add(new ObservedFunction(null), 7);
        first.Intx.SetLevel(true);
        second.Intx.SetLevel(true);
        first.Intx.SetLevel(false);
        _rig.Lines[19].IsAsserted.Should().BeTrue();
        second.Intx.SetLevel(false);
        _rig.Lines[19].Levels.Should().Equal(true, false);

        second.Intx.SetLevel(true);
        _rig.Bridge.Root.Remove(second);
        _rig.Lines[19].IsAsserted.Should().BeFalse("a function that is gone drives nothing");
    }

    [Fact]
    [Trait("Behaviour", "PCI-9")]
    public void Without_a_pin_the_level_goes_nowhere()
    {
        PciFunction function = _rig.Add(PciRig.Function());
        function.Intx.SetLevel(true);
        _rig.Read(6, 2).Should().Be(0);
        _rig.Read(0x3d, 1).Should().Be(0);
    }

    [Fact]
    public void Reset_takes_everything_to_power_on()
    {
        var dma = new DmaTarget(new GuestMemory());
        var function = new ObservedFunction(dma);
        function.AddBar(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new RecordingHandler(0x1000, 1)));
        _rig.Add(function);
        _rig.Write(0x10, 4, 0xc000_0000);
        _rig.Write(4, 2, 0x0146);
        _rig.Write(0x3c, 1, 9);
        function.Intx.SetLevel(true);

        function.Reset();

        _rig.Read(4, 4).Should().Be(0);
        _rig.Read(0x10, 4).Should().Be(0);
        _rig.Read(0x3c, 2).Should().Be(0x0100);
        _rig.Memory.Read(0xc000_0000, 4).Should().Be(0xffff_ffff);
        dma.Enabled.Should().BeFalse();
        function.Intx.IsAsserted.Should().BeFalse();
        function.Resets.Should().Be(1);
        _rig.Lines[19].IsAsserted.Should().BeFalse();
    }

    private sealed class ObservedFunction : PciFunction
    {
        public ObservedFunction(DmaTarget? dma)
            : base(PciRig.Identity, new PciFunctionOptions { Name = "observed", Pin = InterruptPin.A, Dma = dma })
        {
        }

        public int Resets { get; private set; }

        public int BusMasterChanges { get; private set; }

        protected override void OnReset() => Resets++;

        protected override void OnBusMasterChanged() => BusMasterChanges++;
    }
}
