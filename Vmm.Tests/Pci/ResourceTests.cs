using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Host;
using Vmm.Pci.Interrupts;

namespace Vmm.Tests.Pci;

/// <summary>Windows, their allocators, and what a guest without firmware finds.</summary>
public sealed class ResourceTests
{
    private static PciWindow[] Windows() =>
    [
        new PciWindow(AddressSpaceKind.Port, 0x1000, 0xf000),
        new PciWindow(AddressSpaceKind.Memory, 0xc000_0000, 0x3000_0000),
        new PciWindow(AddressSpaceKind.Memory, 0x80_0000_0000, 0x80_0000_0000),
    ];

    [Fact]
    [Trait("Behaviour", "PCI-14")]
    public void A_reset_goes_on_over_what_has_no_room_and_that_does_not_decode()
    {
        var rig = new PciRig(new PciWindow(AddressSpaceKind.Memory, 0xc000_0000, 0x1000_0000));
        var port = new Vmm.Pci.Bridges.PciRootPort();
        rig.Add(port, 1);
        rig.Bridge.Root.AssignResources();
        PciFunction large = PciRig.Function(new PciBar(0, PciBarKind.Memory32, 64 << 20, [new PciBarRegion("r", 0, 0x1000, new ConstantHandler(1))]));
        PciFunction small = PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new ConstantHandler(2)));
        port.HotAdd(large, small);

        rig.Bridge.Invoking(static bridge => bridge.Reset()).Should().NotThrow();

        rig.Write(4, 2, 6, 1);
        rig.Memory.Write(PciRig.Ecam + (1 << 20) + 4, 2, 6);
        rig.Memory.Write(PciRig.Ecam + (1 << 20) + 0x1004, 2, 6);
        large.GetMappedAddress(0).Should().BeNull();
        large.GetBarAddress(0).Should().Be(0);
        small.GetMappedAddress(0).Should().NotBeNull("what fits is placed");
        rig.Bridge.Root.UnplacedRanges.Should().Be(1);
        rig.Bridge.Root.Invoking(static root => root.AssignResources()).Should().Throw<PciResourceException>("who asks for it is told");
    }

    [Fact]
    [Trait("Behaviour", "PCI-14")]
    public void Addresses_come_from_the_window_that_fits_the_kind()
    {
        PciWindow[] windows = Windows();
        var rig = new PciRig(windows);
        PciFunction function = rig.Add(new PciFunction(PciRig.Identity, new PciFunctionOptions { Pin = InterruptPin.B }));
        PciFunction other = PciRig.Function(
            new PciBar(0, PciBarKind.Memory32, 0x1000, []),
            new PciBar(1, PciBarKind.Io, 32, []),
            new PciBar(2, PciBarKind.Memory64, 0x10_0000, []),
            new PciBar(4, PciBarKind.Memory64, 0x4000, [], placement: PciBarPlacement.Below4GiB),
            new PciBar(6, PciBarKind.Rom, 0x800, []));
        rig.Add(other, 4);

        rig.Bridge.Root.AssignResources();

        windows[1].Contains(other.GetBarAddress(0), 0x1000).Should().BeTrue();
        windows[0].Contains(other.GetBarAddress(1), 32).Should().BeTrue();
        windows[2].Contains(other.GetBarAddress(2), 0x10_0000).Should().BeTrue();
        windows[1].Contains(other.GetBarAddress(4), 0x4000).Should().BeTrue();
        windows[1].Contains(other.GetBarAddress(6), 0x800).Should().BeTrue();
        rig.Read(0x3c, 2, 3).Should().Be(0x0200u | (uint)rig.Bridge.Root.InterruptRouting.GetGsi(3, InterruptPin.B));
        rig.Read(4, 2, 4).Should().Be(0, "decoding is the guest's to switch on");
        function.Bars.Should().BeEmpty();

        ulong before = other.GetBarAddress(2);
        rig.Write(0x18, 4, 0, 4);
        rig.Bridge.Reset();
        other.GetBarAddress(2).Should().Be(before, "after a reset the guest finds the same addresses");

        rig.Bridge.Root.Remove(other);
        windows.Sum(static window => (long)window.FreeBytes).Should().Be(0xf000 + 0x3000_0000 + 0x80_0000_0000);
    }

    [Fact]
    [Trait("Behaviour", "PCI-14")]
    public void A_64_bit_bar_goes_below_4_GiB_where_there_is_no_other_window()
    {
        var rig = new PciRig(new PciWindow(AddressSpaceKind.Memory, 0xc000_0000, 0x10_0000));
        PciFunction function = rig.Add(PciRig.Function(new PciBar(0, PciBarKind.Memory64, 0x4000, [])));
        rig.Bridge.Root.AssignResources();
        function.GetBarAddress(0).Should().Be(0xc000_0000);

        rig.Add(PciRig.Function(new PciBar(0, PciBarKind.Memory32, 0x10_0000, [])), 4);
        FluentActions.Invoking(rig.Bridge.Root.AssignResources)
            .Should().Throw<PciResourceException>().WithMessage("*00:04.0*0x100000*Memory 0xc0000000*");
    }

    [Fact]
    [Trait("Behaviour", "PCI-14")]
    public void Ten_thousand_additions_and_removals_leave_no_drift()
    {
        PciWindow[] windows = Windows();
        var rig = new PciRig(windows);
        var random = new Random(5);
        var live = new Queue<PciFunction>();
        int segments = rig.Memory.Segments.Count;
        ulong[] free = windows.Select(window => window.FreeBytes).ToArray();
        for (int i = 0; i < 10_000; i++)
        {
            if (live.Count == 20)
            {
                rig.Bridge.Root.Remove(live.Dequeue());
            }

            PciFunction function = PciRig.Function(
                new PciBar(0, PciBarKind.Memory32, 0x1000ul << random.Next(6), []),
                new PciBar(1, PciBarKind.Io, 4ul << random.Next(5), []),
                new PciBar(2, PciBarKind.Memory64, 0x1_0000ul << random.Next(10), []));
            int device = Enumerable.Range(1, 31).First(number => rig.Bridge.Root.Find(number << 3) is null);
            rig.Add(function, device);
            rig.Bridge.Root.AssignResources();
            live.Enqueue(function);
        }

        while (live.TryDequeue(out PciFunction? function))
        {
            rig.Bridge.Root.Remove(function);
        }

        windows.Select(window => window.FreeBytes).Should().Equal(free);
        windows.Should().OnlyContain(window => window.TryAllocateWhole());
        rig.Memory.Segments.Should().HaveCount(segments);
    }

    [Fact]
    [Trait("Behaviour", "PCI-14")]
    public void Allocations_are_aligned_disjoint_and_inside()
    {
        var window = new PciWindow(AddressSpaceKind.Memory, 0x1234_5000, 0x100_0000);
        var random = new Random(11);
        var taken = new SortedDictionary<ulong, ulong>();
        for (int i = 0; i < 5_000; i++)
        {
            if (taken.Count > 0 && random.Next(3) == 0)
            {
                ulong some = taken.Keys.ElementAt(random.Next(taken.Count));
                window.Free(some);
                taken.Remove(some);
                continue;
            }

            ulong size = 16ul << random.Next(14);
            if (!window.TryAllocate(size, out ulong address))
            {
                continue;
            }

            (address % size).Should().Be(0);
            window.Contains(address, size).Should().BeTrue();
            taken.Add(address, size);
        }

        ulong end = 0;
        foreach ((ulong address, ulong size) in taken)
        {
            address.Should().BeGreaterThanOrEqualTo(end);
            end = address + size;
        }

        window.FreeBytes.Should().Be(0x100_0000 - (ulong)taken.Values.Sum(static size => (long)size));
        FluentActions.Invoking(() => window.Free(1)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => window.TryAllocate(3, out _)).Should().Throw<ArgumentException>();
    }

    [Fact]
    [Trait("Behaviour", "PCI-14")]
    public void The_top_of_a_space_is_usable_and_more_is_refused()
    {
        var window = new PciWindow(AddressSpaceKind.Memory, ulong.MaxValue - 0xfff, 0x1000);
        window.TryAllocate(0x1000, out ulong address).Should().BeTrue();
        address.Should().Be(ulong.MaxValue - 0xfff);
        window.TryAllocate(16, out _).Should().BeFalse();
        window.Free(address);
        window.FreeBytes.Should().Be(0x1000);
        window.Contains(ulong.MaxValue, 1).Should().BeTrue();
        window.Contains(ulong.MaxValue, 2).Should().BeFalse();
        FluentActions.Invoking(() => new PciWindow(AddressSpaceKind.Memory, ulong.MaxValue, 2)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new PciWindow(AddressSpaceKind.Memory, 0, 0)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new PciWindow(AddressSpaceKind.Port, 0xff00, 0x101)).Should().Throw<ArgumentException>();
    }
}

internal static class PciWindowExtensions
{
    /// <summary>True if the largest aligned block that a free window of this size must hold can be taken: the free list is one range again.</summary>
    public static bool TryAllocateWhole(this PciWindow window)
    {
        ulong size = 1ul << (63 - System.Numerics.BitOperations.LeadingZeroCount((window.Last - window.Base + 1) / 2));
        return window.TryAllocate(size, out _);
    }
}
