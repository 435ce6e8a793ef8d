using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Bridges;

namespace Vmm.Tests.Pci;

/// <summary>Who disposes functions, and in which order it may be done.</summary>
public sealed class DisposalTests
{
    private readonly PciRig _rig = new();

    [Fact]
    public void A_disposal_that_was_refused_is_done_by_the_next_one()
    {
        var first = new CountingFunction();
        var second = new CountingFunction();
        _rig.Add(first);
        _rig.Add(second, 3, 1);

        first.Invoking(static function => function.Dispose()).Should().Throw<InvalidOperationException>("function 0 goes after its others");
        first.Disposals.Should().Be(0);
        second.Dispose();
        first.Dispose();
        first.Dispose();

        (first.Disposals, second.Disposals).Should().Be((1, 1));
        _rig.Read(0, 4).Should().Be(uint.MaxValue);
    }

    [Fact]
    public void A_function_that_is_disposed_takes_itself_off_its_bus_first()
    {
        var function = new CountingFunction();
        _rig.Add(function);
        function.Dispose();
        function.Bus.Should().BeNull();
        function.WasOnBus.Should().BeFalse();
        _rig.Read(0, 4).Should().Be(uint.MaxValue);
        _rig.Add(new PciFunction(PciRig.Identity));
        _rig.Read(0, 4).Should().Be(0x1042_1af4);
    }

    [Fact]
    public void A_bridge_is_disposed_after_what_is_behind_it()
    {
        var port = new PciRootPort();
        var behind = new CountingFunction();
        _rig.Add(port, 1);
        port.Secondary.Add(behind, 0);
        port.Invoking(static bridge => bridge.Dispose()).Should().Throw<InvalidOperationException>();
        port.Bus.Should().NotBeNull();
        behind.Dispose();
        port.Dispose();
        behind.Disposals.Should().Be(1);
        _rig.Read(0, 4, 1).Should().Be(uint.MaxValue);
    }

    [Fact]
    public void The_host_bridge_disposes_what_is_on_its_buses_from_the_leaves_up_and_the_last_first()
    {
        var order = new List<string>();
        var port = new PciRootPort();
        CountingFunction Make(string name) => new() { Disposed = () => order.Add(name) };
        CountingFunction first = Make("1.0");
        CountingFunction other = Make("1.1");
        CountingFunction behind = Make("2/0.0");
        CountingFunction beside = Make("2/0.1");
        CountingFunction gone = Make("gone");
        _rig.Add(first, 1);
        _rig.Add(other, 1, 1);
        _rig.Add(port, 2);
        port.HotAdd(behind, beside);
        _rig.Add(gone, 5);
        _rig.Bridge.Root.Remove(gone);
        CountingFunction[] all = [first, other, behind, beside];

        _rig.Bridge.Dispose();
        _rig.Bridge.Dispose();

        order.Should().Equal("2/0.1", "2/0.0", "1.1", "1.0");
        all.Should().OnlyContain(static function => function.Disposals == 1 && !function.WasOnBus && function.Bus == null);
        port.Bus.Should().BeNull();
        gone.Disposals.Should().Be(0, "it belongs to who removed it");
        _rig.Bridge.Root.Functions.Should().BeEmpty();
        _rig.Memory.Segments.Should().BeEmpty();
        _rig.Ports.Segments.Should().BeEmpty();
        _rig.Read(0, 4, 1).Should().Be(uint.MaxValue);
        FluentActions.Invoking(() => _rig.Add(gone, 5)).Should().Throw<ObjectDisposedException>();
        _rig.Bridge.Invoking(static bridge => bridge.ClaimConfigurationAccess()).Should().Throw<ObjectDisposedException>();
    }

    [Fact]
    public void A_function_that_was_disposed_before_its_bridge_or_is_disposed_after_it_is_disposed_once()
    {
        (CountingFunction before, CountingFunction after) = (new CountingFunction(), new CountingFunction());
        _rig.Add(before, 1);
        _rig.Add(after, 2);
        before.Dispose();
        _rig.Bridge.Dispose();
        after.Dispose();
        (before.Disposals, after.Disposals).Should().Be((1, 1));
    }

    [Fact]
    public void A_function_whose_disposal_fails_keeps_no_other_from_its_own()
    {
        var good = new CountingFunction();
        _rig.Add(good, 1);
        _rig.Add(new CountingFunction { Disposed = static () => throw new InvalidTimeZoneException("a broken disposal") }, 2);
        _rig.Bridge.Invoking(static bridge => bridge.Dispose()).Should().NotThrow();
        good.Disposals.Should().Be(1);
    }

    [Fact]
    public async Task Who_waits_for_a_guest_to_let_go_of_a_slot_is_told_when_the_bridge_is_disposed()
    {
        var slots = new SlotRig();
        slots.Port.HotAdd(new PciFunction(PciRig.Identity));
        slots.Control = SlotRig.AllEvents | SlotRig.IndicatorOn;
        Task removal = slots.Port.HotRemove(SlotRemoval.Orderly);
        removal.IsCompleted.Should().BeFalse();
        slots.Bridges.Host.Dispose();
        await removal.WaitAsync(TimeSpan.FromSeconds(20));
    }

    [Fact]
    public async Task A_bridge_is_disposed_while_guests_run()
    {
        var functions = Enumerable.Range(1, 8)
            .Select(device => _rig.Add(PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new ConstantHandler(7))), device))
            .ToList();
        bool stop = false;
        int readers = 0;
        Task[] guests = Enumerable.Range(0, 2).Select(seed => Task.Run(() =>
        {
            var random = new Random(seed);
            while (!Volatile.Read(ref stop))
            {
                int device = random.Next(9);
                _rig.Write(0x10, 4, 0xc000_0000 + (uint)(random.Next(16) << 12), device);
                _rig.Write(4, 2, (uint)random.Next(8), device);
                _rig.Memory.Read(0xc000_0000 + (ulong)(random.Next(16) << 12), 4);
                Interlocked.Increment(ref readers);
            }
        })).ToArray();
        SpinWait.SpinUntil(() => Volatile.Read(ref readers) > 100, TimeSpan.FromSeconds(20)).Should().BeTrue();
        _rig.Bridge.Dispose();
        int seen = Volatile.Read(ref readers);
        SpinWait.SpinUntil(() => Volatile.Read(ref readers) > seen + 100, TimeSpan.FromSeconds(20)).Should().BeTrue();
        Volatile.Write(ref stop, true);
        await Task.WhenAll(guests);
        functions.Should().OnlyContain(static function => function.Bus == null && function.GetMappedAddress(0) == null);
        _rig.Memory.Segments.Should().BeEmpty();
        _rig.Memory.HandlerFaults.Should().Be(0);
        _rig.Memory.Domain.FailedEffects.Should().Be(0);
    }

    [Fact]
    public void A_removal_from_inside_an_access_is_refused_whole()
    {
        var function = new PciFunction(PciRig.Identity);
        _rig.Add(function);
        using (_rig.Memory.Domain.Enter())
        {
            _rig.Bridge.Root.Invoking(root => root.Remove(function)).Should().Throw<InvalidOperationException>();
            function.Invoking(static inside => inside.Dispose()).Should().Throw<InvalidOperationException>();
            _rig.Bridge.Invoking(static bridge => bridge.Dispose()).Should().Throw<InvalidOperationException>();
        }

        function.Bus.Should().Be(_rig.Bridge.Root);
        _rig.Read(0, 4).Should().Be(0x1042_1af4);
    }

    private sealed class CountingFunction() : PciFunction(PciRig.Identity)
    {
        public int Disposals { get; private set; }

        public bool WasOnBus { get; private set; }

        public Action Disposed { get; init; } = static () => { };

        protected override void Dispose(bool disposing)
        {
            WasOnBus = Bus is not null;
            base.Dispose(disposing);
            Disposals++;
            Disposed();
        }
    }
}
