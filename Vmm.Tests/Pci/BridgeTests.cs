using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Bridges;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Host;
using Vmm.Pci.Interrupts;

namespace Vmm.Tests.Pci;

/// <summary>Bridges: bus numbers, windows, resets and interrupts of what is behind.</summary>
[Trait("Behaviour", "PCI-12")]
public sealed class BridgeTests
{
    private readonly BridgeRig _rig = new();

    [Fact]
    public void A_type_1_header_with_its_writable_bits()
    {
        PciBridge bridge = _rig.AddBridge(_rig.Host.Root, 3);
        _rig.Read(bridge, 0x0e, 1).Should().Be(1);
        _rig.Read(bridge, 0x0a, 2).Should().Be(0x0604);
        (int Offset, int Width, uint Value)[] expected =
        [
            (0x10, 4, 0), (0x14, 4, 0), (0x18, 4, 0x00ff_ffff), (0x1c, 2, 0xf0f0), (0x20, 4, 0xfff0_fff0), (0x24, 4, 0xfff1_fff1),
            (0x28, 4, 0xffff_ffff), (0x2c, 4, 0xffff_ffff), (0x30, 4, 0), (0x38, 4, 0), (0x3e, 2, 0x47),
        ];
        foreach ((int offset, int width, uint value) in expected)
        {
            _rig.Write(bridge, offset, width, 0xffff_ffff);
            _rig.Read(bridge, offset, width).Should().Be(value, "register 0x{0:x}", offset);
        }
    }

    [Fact]
    public void A_bridge_has_two_bars_and_no_rom()
    {
        var bridge = new PciBridge(BridgeRig.BridgeIdentity);
        FluentActions.Invoking(() => bridge.AddBar(PciRig.Bar(2, PciBarKind.Memory32, 0x1000, new RecordingHandler(0x1000))))
            .Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => bridge.AddBar(PciRig.Bar(PciBar.RomIndex, PciBarKind.Rom, 0x1000, new RecordingHandler(0x1000))))
            .Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => bridge.AddBar(PciRig.Bar(0, PciBarKind.Memory64, 0x1000, new RecordingHandler(0x1000)))).Should().NotThrow();
        FluentActions.Invoking(() => bridge.Secondary.Add(PciRig.Function(), 0)).Should().Throw<InvalidOperationException>().WithMessage("*no bus*");
    }

    [Fact]
    public void Configuration_accesses_are_routed_by_the_bus_numbers_as_they_are()
    {
        PciBridge outer = _rig.AddBridge(_rig.Host.Root, 3);
        PciBridge inner = _rig.AddBridge(outer.Secondary, 5);
        PciFunction function = PciRig.Function();
        inner.Secondary.Add(function, 7);
        var deep = new PciAddress(9, 7, 0);
        _rig.Read(deep, 0, 4).Should().Be(0xffff_ffff, "no numbers yet");
        _rig.Write(outer, 0x18, 4, 0x0009_0800);
        _rig.Read(new PciAddress(8, 5, 0), 0, 4).Should().Be(0x0001_1b36);
        outer.Secondary.Number.Should().Be(8);
        inner.Address.Should().Be(new PciAddress(8, 5, 0));
        _rig.Write(inner, 0x18, 4, 0x0009_0908);
        _rig.Read(deep, 0, 4).Should().Be(0x1042_1af4);
        function.Address.Should().Be(deep);
        _rig.Read(new PciAddress(8, 7, 0), 0, 4).Should().Be(0xffff_ffff);
        _rig.Read(new PciAddress(10, 7, 0), 0, 4).Should().Be(0xffff_ffff);

        _rig.Write(outer, 0x1a, 1, 8);
        _rig.Read(deep, 0, 4).Should().Be(0xffff_ffff, "beyond the subordinate number");
        _rig.Write(outer, 0x1a, 1, 0x20);
        _rig.Write(inner, 0x19, 2, 0x1111);
        _rig.Read(new PciAddress(0x11, 7, 0), 0, 4).Should().Be(0x1042_1af4);
        function.Address.Bus.Should().Be(0x11);
    }

    [Fact]
    public void Messages_carry_the_requester_id_of_the_bus_number()
    {
        PciBridge bridge = _rig.AddBridge(_rig.Host.Root, 3);
        var msi = new MsiCapability(1);
        PciFunction function = PciRig.Function();
        function.AddCapability(msi);
        bridge.Secondary.Add(function, 1);
        _rig.Write(bridge, 0x18, 4, 0x0004_0400);
        _rig.Write(bridge, 4, 2, 4);
        _rig.Write(function, 4, 2, 4);
        _rig.Write(function, msi.Offset + 2, 2, 1);
        msi[0].Signal();
        _rig.Write(bridge, 0x18, 4, 0x0006_0600);
        msi[0].Signal();
        _rig.Rig.Sink.Sent.Select(static sent => sent.RequesterId).Should().Equal(0x408u, 0x608u);
    }

    [Theory]
    [InlineData(PciBarKind.Memory32, 0x10_0000ul)]
    [InlineData(PciBarKind.Memory64, 0x1000ul)]
    public void Memory_windows_gate_decoding(PciBarKind kind, ulong size)
    {
        (PciBridge bridge, PciFunction function) = Behind(PciRig.Bar(0, kind, size, new RecordingHandler((int)size)));
        _rig.Write(function, 0x10, 4, 0xc120_0000);
        _rig.Write(function, 4, 2, 2);
        function.GetMappedAddress(0).Should().BeNull("the window is closed");

        _rig.Write(bridge, 0x20, 4, 0xc120_c120);
        function.GetMappedAddress(0).Should().BeNull("memory decoding of the bridge is off");
        _rig.Write(bridge, 4, 2, 2);
        function.GetMappedAddress(0).Should().Be(0xc120_0000);
        _rig.Write(bridge, 0x20, 4, 0xc130_c130);
        function.GetMappedAddress(0).Should().BeNull("the window went away");
        _rig.Rig.Memory.Read(0xc120_0000, 4).Should().Be(0xffff_ffff);
        _rig.Write(function, 0x10, 4, 0xc130_0000);
        function.GetMappedAddress(0).Should().Be(0xc130_0000);

        _rig.Write(bridge, 0x20, 4, 0x0000_fff0);
        function.GetMappedAddress(0).Should().BeNull();
        _rig.Write(bridge, 0x24, 4, 0xc130_c130);
        function.GetMappedAddress(0).Should().Be(0xc130_0000, "either window forwards");
        _rig.Write(bridge, 0x2c, 4, 1);
        function.GetMappedAddress(0).Should().Be(0xc130_0000, "the limit grew");
        _rig.Write(bridge, 0x28, 4, 1);
        function.GetMappedAddress(0).Should().BeNull("the window is above 4 GiB");
    }

    [Fact]
    public void A_prefetchable_window_reaches_above_4_GiB()
    {
        (PciBridge bridge, PciFunction function) = Behind(PciRig.Bar(0, PciBarKind.Memory64, 0x10_0000, new RecordingHandler(0x10_0000)));
        _rig.Write(bridge, 0x24, 4, 0x0010_0000);
        _rig.Write(bridge, 0x28, 4, 0x42);
        _rig.Write(bridge, 0x2c, 4, 0x42);
        _rig.Write(bridge, 4, 2, 2);
        _rig.Write(function, 4, 2, 2);
        _rig.Write(function, 0x14, 4, 0x42);
        _rig.Write(function, 0x10, 4, 0x10_0000);
        function.GetMappedAddress(0).Should().Be(0x42_0010_0000);
        bridge.PrefetchableWindow.Should().Be(new BridgeWindow(0x42_0000_0000, 0x42_001f_ffff));
        _rig.Write(function, 0x10, 4, 0x20_0000);
        function.GetMappedAddress(0).Should().BeNull();
    }

    [Fact]
    public void The_io_window_and_isa_enable_gate_ports()
    {
        (PciBridge bridge, PciFunction function) = Behind(PciRig.Bar(0, PciBarKind.Io, 32, new RecordingHandler(32)));
        _rig.Write(bridge, 0x1c, 2, 0xd0d0);
        _rig.Write(bridge, 4, 2, 1);
        _rig.Write(function, 4, 2, 1);
        _rig.Write(function, 0x10, 4, 0xd120);
        function.GetMappedAddress(0).Should().Be(0xd120);
        _rig.Write(bridge, 0x3e, 2, 4);
        function.GetMappedAddress(0).Should().BeNull("not in the first 256 bytes of a KiB");
        _rig.Write(function, 0x10, 4, 0xd420);
        function.GetMappedAddress(0).Should().Be(0xd420);
        _rig.Write(bridge, 0x1c, 1, 0xe0);
        function.GetMappedAddress(0).Should().BeNull();
        _rig.Write(bridge, 0x1d, 1, 0xe0);
        _rig.Write(function, 0x10, 4, 0xe020);
        function.GetMappedAddress(0).Should().Be(0xe020);
        _rig.Write(bridge, 4, 2, 0);
        function.GetMappedAddress(0).Should().BeNull();
    }

    [Fact]
    public void Every_bridge_above_must_forward()
    {
        PciBridge outer = _rig.AddBridge(_rig.Host.Root, 3);
        PciBridge inner = _rig.AddBridge(outer.Secondary, 0);
        _rig.Write(outer, 0x18, 4, 0x0002_0100);
        _rig.Write(inner, 0x18, 4, 0x0002_0201);
        var dma = new DmaTarget(new GuestMemory());
        var function = new PciFunction(PciRig.Identity, new PciFunctionOptions { Dma = dma });
        function.AddBar(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new RecordingHandler(0x1000)));
        inner.Secondary.Add(function, 0);
        _rig.Write(function, 0x10, 4, 0xc100_0000);
        foreach (PciFunction at in new PciFunction[] { function, inner, outer })
        {
            function.GetMappedAddress(0).Should().BeNull();
            dma.Enabled.Should().BeFalse();
            if (at is PciBridge)
            {
                _rig.Write(at, 0x20, 4, 0xc100_c100);
            }

            _rig.Write(at, 4, 2, 6);
        }

        function.GetMappedAddress(0).Should().Be(0xc100_0000);
        dma.Enabled.Should().BeTrue();
        _rig.Write(outer, 4, 2, 2);
        dma.Enabled.Should().BeFalse();
        _rig.Write(outer, 0x20, 4, 0xc200_c200);
        function.GetMappedAddress(0).Should().BeNull();
    }

    [Fact]
    public async Task A_window_moves_everything_behind_it_by_one_transaction()
    {
        // Two functions change places with one write of the window: no access sees only one of them.
        PciBridge bridge = _rig.AddBridge(_rig.Host.Root, 3);
        _rig.Write(bridge, 0x18, 4, 0x0001_0100);
        PciFunction[] functions = Enumerable.Range(0, 2).Select(device =>
        {
            PciFunction function = PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new ConstantHandler((uint)device + 1)));
            bridge.Secondary.Add(function, device);
            _rig.Write(function, 0x10, 4, 0xc100_0000 + ((uint)device << 12));
            _rig.Write(function, 4, 2, 2);
            return function;
        }).ToArray();
        _rig.Write(bridge, 4, 2, 2);
        _rig.Rig.Memory.Read(0xc100_0000, 4).Should().Be(0xffff_ffff);
        bool stop = false;
        int torn = 0;
        var reader = Task.Run(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                // An access over both BARs' border runs on one view.
                ulong value = _rig.Rig.Memory.Read(0xc100_0ffc, 8);
                bool first = (uint)value != 0xffff_ffff;
                bool second = (uint)(value >> 32) != 0xffff_ffff;
                torn += first != second ? 1 : 0;
            }
        });
        for (int i = 0; i < 300; i++)
        {
            _rig.Write(bridge, 0x20, 4, 0xc100_c100);
            functions.Should().OnlyContain(static function => function.GetMappedAddress(0) != null);
            _rig.Write(bridge, 0x20, 4, 0xc200_c200);
            functions.Should().OnlyContain(static function => function.GetMappedAddress(0) == null);
        }

        Volatile.Write(ref stop, true);
        await reader;
        torn.Should().Be(0);
    }

    [Fact]
    public void Secondary_bus_reset_resets_everything_behind_and_hides_it()
    {
        (PciBridge bridge, PciFunction function) = Behind(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new RecordingHandler(0x1000)));
        PciBridge inner = _rig.AddBridge(bridge.Secondary, 4);
        PciAddress address = function.Address;
        _rig.Write(inner, 0x18, 4, 0x0003_0302);
        _rig.Write(bridge, 0x20, 4, 0xc100_c100);
        _rig.Write(bridge, 4, 2, 6);
        _rig.Write(function, 0x10, 4, 0xc100_0000);
        _rig.Write(function, 4, 2, 6);
        function.GetMappedAddress(0).Should().NotBeNull();

        _rig.Write(bridge, 0x3e, 2, 0x40);
        _rig.Read(address, 0, 4).Should().Be(0xffff_ffff);
        function.GetMappedAddress(0).Should().BeNull();
        _rig.Write(bridge, 0x3e, 2, 0);
        _rig.Read(address, 0, 4).Should().Be(0x1042_1af4);
        _rig.Read(address, 4, 2).Should().Be(0);
        _rig.Read(address, 0x10, 4).Should().Be(0);
        _rig.Read(inner.Address, 0x18, 4).Should().Be(0);
        _rig.Read(bridge, 4, 2).Should().Be(6, "the bridge itself keeps its registers");
    }

    [Fact]
    [Trait("Behaviour", "PCI-9")]
    public void Pins_are_swizzled_through_bridges()
    {
        PciBridge outer = _rig.AddBridge(_rig.Host.Root, 3);
        PciBridge inner = _rig.AddBridge(outer.Secondary, 6);
        PciFunction[] functions = new (PciBus Bus, int Device, InterruptPin Pin)[]
        {
            (outer.Secondary, 0, InterruptPin.A), (outer.Secondary, 1, InterruptPin.A), (outer.Secondary, 2, InterruptPin.D),
            (inner.Secondary, 0, InterruptPin.A), (inner.Secondary, 3, InterruptPin.B),
        }.Select(place =>
        {
            var function = new PciFunction(PciRig.Identity, new PciFunctionOptions { Pin = place.Pin });
            place.Bus.Add(function, place.Device);
            return function;
        }).ToArray();

        // Pin number (A = 0) plus device number at each bridge, plus device 3 on the root bus; 4 wires from 16.
        int[] gsis = [16 + ((0 + 0 + 3) % 4), 16 + ((0 + 1 + 3) % 4), 16 + ((3 + 2 + 3) % 4), 16 + ((0 + 0 + 6 + 3) % 4), 16 + ((1 + 3 + 6 + 3) % 4)];
        for (int i = 0; i < functions.Length; i++)
        {
            functions[i].Intx.SetLevel(true);
            _rig.Rig.Lines[gsis[i]].IsAsserted.Should().BeTrue("function {0}", i);
            functions[i].Intx.SetLevel(false);
            _rig.Rig.Lines[gsis[i]].IsAsserted.Should().BeFalse();
        }

        _rig.Host.Root.AssignResources();
        functions.Select(function => (int)_rig.Read(function, 0x3c, 1)).Should().Equal(gsis);
    }

    [Fact]
    [Trait("Behaviour", "PCI-14")]
    public void Firmware_numbers_the_buses_and_gives_windows_and_addresses_that_decode()
    {
        PciBridge outer = _rig.AddBridge(_rig.Host.Root, 3, new PciBridgeOptions { ReservedBuses = 2 });
        PciBridge inner = _rig.AddBridge(outer.Secondary, 6, new PciBridgeOptions { PrefetchableWindow = 0x4000_0000 });
        PciRootPort port = _rig.AddPort(4);
        PciFunction[] functions = new[]
        {
            Function(outer.Secondary, 1), Function(outer.Secondary, 2), Function(inner.Secondary, 1), Function(inner.Secondary, 2),
            Function(port.Secondary, 0),
        };
        for (int round = 0; round < 2; round++)
        {
            _rig.Host.Root.AssignResources();
            (outer.SecondaryBusNumber, outer.SubordinateBusNumber, inner.PrimaryBusNumber, inner.SecondaryBusNumber, port.SecondaryBusNumber)
                .Should().Be((1, 4, 1, 2, 5));
            foreach (PciBridge bridge in new PciBridge[] { outer, inner, port })
            {
                _rig.Write(bridge, 4, 2, 7);
            }

            foreach (PciFunction? function in functions)
            {
                _rig.Write(function, 4, 2, 7);
                foreach (PciBar bar in function.Bars)
                {
                    function.GetMappedAddress(bar.Index).Should().Be(function.GetBarAddress(bar.Index), "{0} BAR {1}", function.Address, bar.Index);
                }

                function.GetBarAddress(2).Should().BeGreaterThan(0xffff_ffff);
            }

            (inner.PrefetchableWindow.Limit - inner.PrefetchableWindow.Base + 1).Should().Be(0x4000_0000);
            port.MemoryWindow.IsOpen.Should().BeTrue();
            _rig.Host.Reset();
            functions.Should().OnlyContain(static function => function.GetBarAddress(0) != 0, "a reset programs what firmware had programmed");
        }

        FluentActions.Invoking(() => _rig.Host.Root.Remove(outer)).Should().Throw<ArgumentException>().WithMessage("*behind it*");
        FluentActions.Invoking(() => outer.Secondary.AssignResources()).Should().Throw<InvalidOperationException>();
        ulong[] free = _rig.Host.Root.Windows.Select(static window => window.FreeBytes).ToArray();
        port.Secondary.Remove(functions[4]);
        _rig.Host.Root.Remove(port);
        _rig.Host.Root.Windows[0].FreeBytes.Should().Be(free[0] + 0x20_0000);
        _rig.Host.Root.Windows[1].FreeBytes.Should().Be(free[1] + 0x200_0000);
    }

    [Fact]
    public void In_D3hot_nothing_passes_a_bridge()
    {
        PciRootPort port = _rig.AddPort();
        PciFunction function = PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new RecordingHandler(0x1000)));
        port.Secondary.Add(function, 0);
        _rig.Host.Root.AssignResources();
        _rig.Write(port, 4, 2, 6);
        _rig.Write(function, 4, 2, 6);
        function.GetMappedAddress(0).Should().NotBeNull();
        PowerManagementCapability power = port.Capabilities.OfType<PowerManagementCapability>().Single();
        _rig.Write(port, power.Offset + 4, 2, 3);
        function.GetMappedAddress(0).Should().BeNull();
        function.IsBusMaster.Should().BeFalse();
        _rig.Read(function, 0, 4).Should().Be(0xffff_ffff);
        _rig.Write(port, power.Offset + 4, 2, 0);
        function.GetMappedAddress(0).Should().NotBeNull();
        function.IsBusMaster.Should().BeTrue();
        _rig.Read(function, 0, 4).Should().Be(0x1042_1af4);
    }

    private static PciFunction Function(PciBus bus, int device)
    {
        PciFunction function = PciRig.Function(
            PciRig.Bar(0, PciBarKind.Memory32, 0x4000, new RecordingHandler(0x4000)),
            PciRig.Bar(1, PciBarKind.Io, 64, new RecordingHandler(64)),
            new PciBar(2, PciBarKind.Memory64, 0x20_0000, [new("all", 0, 0x20_0000, new RecordingHandler(0x20_0000))], prefetchable: true));
        bus.Add(function, device);
        return function;
    }

    /// <summary>A function as device 1 of bus 2, behind a bridge at 00:03.0.</summary>
    private (PciBridge Bridge, PciFunction Function) Behind(PciBar bar)
    {
        PciBridge bridge = _rig.AddBridge(_rig.Host.Root, 3);
        _rig.Write(bridge, 0x18, 4, 0x0004_0200);
        PciFunction function = PciRig.Function(bar);
        bridge.Secondary.Add(function, 1);
        return (bridge, function);
    }
}
