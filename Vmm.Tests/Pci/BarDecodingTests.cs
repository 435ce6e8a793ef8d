using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Host;

namespace Vmm.Tests.Pci;

/// <summary>What BARs decode follows the registers.</summary>
public sealed class BarDecodingTests
{
    private const uint Ones = uint.MaxValue;
    private readonly PciRig _rig = new();

    [Fact]
    [Trait("Behaviour", "PCI-5")]
    public void Memory_decodes_while_memory_space_is_enabled_and_moves_at_once()
    {
        var handler = new RecordingHandler(0x1000, 0x11);
        PciFunction function = _rig.Add(PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, handler)));
        _rig.Write(0x10, 4, 0xc000_0000);
        Read(0xc000_0000).Should().Be(Ones);
        function.GetMappedAddress(0).Should().BeNull();

        _rig.Write(4, 2, 1);
        Read(0xc000_0000).Should().Be(Ones, "I/O space is another bit");
        _rig.Write(4, 2, 2);
        Read(0xc000_0000).Should().Be(0x11111111);
        function.GetMappedAddress(0).Should().Be(0xc000_0000);

        _rig.Write(0x10, 4, 0xc100_0000);
        Read(0xc000_0000).Should().Be(Ones);
        Read(0xc100_0000).Should().Be(0x11111111);
        _rig.PortWrite(0x13, 1, 0xd0);
        Read(0xd000_0000).Should().Be(0x11111111, "a byte of the register moves it as well");

        _rig.PortWrite(4, 1, 0);
        Read(0xd000_0000).Should().Be(Ones);
        _rig.Read(0x10, 4).Should().Be(0xd000_0000);
    }

    [Fact]
    [Trait("Behaviour", "PCI-5")]
    public void Either_half_of_a_64_bit_address_moves_it()
    {
        _rig.Add(PciRig.Function(PciRig.Bar(2, PciBarKind.Memory64, 0x1000, new RecordingHandler(0x1000, 0x22))));
        _rig.Write(4, 2, 2);
        _rig.Write(0x1c, 4, 0x10);
        Read(0x10_0000_0000).Should().Be(0x22222222);
        _rig.Write(0x18, 4, 0xe000_0000);
        Read(0x10_e000_0000).Should().Be(0x22222222);
        _rig.Write(0x1c, 4, 0);
        Read(0xe000_0000).Should().Be(0x22222222);
        Read(0x10_e000_0000).Should().Be(Ones);
    }

    [Fact]
    [Trait("Behaviour", "PCI-5")]
    public void Io_decodes_below_64_KiB_while_io_space_is_enabled()
    {
        PciFunction function = _rig.Add(PciRig.Function(PciRig.Bar(1, PciBarKind.Io, 16, new RecordingHandler(16, 0x33))));
        _rig.Write(0x14, 4, 0xc000);
        _rig.Write(4, 2, 2);
        _rig.Ports.Read(0xc000, 4).Should().Be(Ones);
        _rig.Write(4, 2, 1);
        _rig.Ports.Read(0xc00c, 4).Should().Be(0x33333333);
        _rig.Write(0x14, 4, 0x1_c000);
        _rig.Ports.Read(0xc000, 4).Should().Be(Ones, "that address is no port");
        function.GetMappedAddress(1).Should().BeNull();
        function.FailedMappings.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "PCI-5")]
    public void The_rom_needs_its_own_enable_bit_too()
    {
        _rig.Add(PciRig.Function(PciRig.Bar(6, PciBarKind.Rom, 0x800, new RecordingHandler(0x800, 0x44))));
        _rig.Write(0x30, 4, 0xc000_0000);
        _rig.Write(4, 2, 2);
        Read(0xc000_0000).Should().Be(Ones);
        _rig.Write(0x30, 1, 1);
        Read(0xc000_0000).Should().Be(0x44444444);
        _rig.Write(0x32, 2, 0xd000);
        Read(0xd000_0000).Should().Be(0x44444444);
        _rig.Write(0x30, 1, 0);
        Read(0xd000_0000).Should().Be(Ones);
        _rig.Write(0x30, 4, 0xd000_0001);
        _rig.Write(4, 2, 0);
        Read(0xd000_0000).Should().Be(Ones);
    }

    [Theory]
    [InlineData(PciBarKind.Memory32)]
    [InlineData(PciBarKind.Memory64)]
    [InlineData(PciBarKind.Io)]
    [Trait("Behaviour", "PCI-5")]
    public void All_ones_and_zero_are_addresses_like_any_other(PciBarKind kind)
    {
        PciFunction function = _rig.Add(PciRig.Function(PciRig.Bar(0, kind, 16, new RecordingHandler(16, 0x55))));
        _rig.Write(4, 2, 3);
        AddressSpace space = kind == PciBarKind.Io ? _rig.Ports : _rig.Memory;
        space.Read(0, 4).Should().Be(0x55555555);

        _rig.Write(0x10, 4, Ones);
        _rig.Write(0x14, 4, Ones);
        switch (kind)
        {
            case PciBarKind.Memory32:
                space.Read(0xffff_fffc, 4).Should().Be(0x55555555);
                break;
            case PciBarKind.Memory64:
                space.Read(ulong.MaxValue - 3, 4).Should().Be(0x55555555);
                break;
            default:
                function.GetMappedAddress(0).Should().BeNull();
                break;
        }

        _rig.Write(0x14, 4, 0);
        _rig.Write(0x10, 4, 0);
        space.Read(12, 4).Should().Be(0x55555555);
        function.FailedMappings.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "PCI-5")]
    public void A_bar_over_another_hides_it_until_it_moves_away()
    {
        _rig.Add(PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new RecordingHandler(0x1000, 0x11))), 3);
        _rig.Add(PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new RecordingHandler(0x1000, 0x22))), 4);
        _rig.Write(0x10, 4, 0xc000_0000, 3);
        _rig.Write(4, 2, 2, 3);
        _rig.Write(0x10, 4, 0xc000_0000, 4);
        _rig.Write(4, 2, 2, 4);
        Read(0xc000_0000).Should().Be(0x22222222);
        _rig.Write(0x10, 4, 0xd000_0000, 4);
        Read(0xc000_0000).Should().Be(0x11111111);
        Read(0xd000_0000).Should().Be(0x22222222);

        _rig.Write(0x10, 4, (uint)PciRig.Ecam, 4);
        _rig.Read(0, 4, 4).Should().Be(0x1042_1af4, "configuration memory is not hidden by a BAR");
    }

    [Fact]
    [Trait("Behaviour", "PCI-5")]
    public void Holes_of_a_bar_belong_to_it_and_show_another_bar_below()
    {
        var inner = new RecordingHandler(0x1000, 0x22);
        _rig.Add(PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, inner)), 3);
        _rig.Add(PciRig.Function(new PciBar(0, PciBarKind.Memory32, 0x2000, [new("a", 0x100, 0x10, new RecordingHandler(16, 0x11))])), 4);
        _rig.Write(0x10, 4, 0xc000_0000, 4);
        _rig.Write(4, 2, 2, 4);
        Read(0xc000_0000).Should().Be(Ones);
        Read(0xc000_0100).Should().Be(0x11111111);
        _rig.Memory.Write(0xc000_1ffc, 4, 1);
        _rig.Memory.UnclaimedCounters.Should().Be(new ClaimCounters(0, 0));

        _rig.Write(0x10, 4, 0xc000_0000, 3);
        _rig.Write(4, 2, 2, 3);
        Read(0xc000_0000).Should().Be(0x22222222);
        Read(0xc000_1000).Should().Be(Ones);
    }

    [Fact]
    [Trait("Behaviour", "PCI-5")]
    public void Outside_of_the_bridges_windows_nothing_decodes()
    {
        var rig = new PciRig(
            new PciWindow(AddressSpaceKind.Memory, 0xc000_0000, 0x1000_0000),
            new PciWindow(AddressSpaceKind.Port, 0x1000, 0x1000));
        PciFunction function = rig.Add(PciRig.Function(
            PciRig.Bar(0, PciBarKind.Memory64, 0x1000, new RecordingHandler(0x1000, 0x11)),
            PciRig.Bar(2, PciBarKind.Io, 16, new RecordingHandler(16, 0x22))));
        rig.Write(4, 2, 3);
        function.GetMappedAddress(0).Should().BeNull("address 0 is RAM's");
        rig.Write(0x10, 4, 0xcfff_f000);
        rig.Memory.Read(0xcfff_f000, 4).Should().Be(0x11111111);
        rig.Write(0x14, 4, 1);
        function.GetMappedAddress(0).Should().BeNull();
        rig.Write(0x18, 4, 0x1ff0);
        rig.Ports.Read(0x1ff0, 1).Should().Be(0x22);
        rig.Write(0x18, 4, 0x2000);
        rig.Ports.Read(0x2000, 1).Should().Be(0xff);
        function.FailedMappings.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "PCI-6")]
    public void A_refused_step_leaves_the_register_and_stops_the_bar_alone()
    {
        // RAM that a BAR cuts in two needs another slot, and RAM is not dispatched.
        using var ram = HostMemory.AllocateAnonymous(0x8000);
        _rig.Memory.Add(new MemoryClaim("ram", ram, 0, 0x8000, priority: ClaimPriority.Background), 0xe000_0000 - 0x1000);
        using var memory = HostMemory.AllocateAnonymous(0x2000);
        PciFunction function = _rig.Add(PciRig.Function(
            new PciBar(0, PciBarKind.Memory32, 0x2000, [new("m", 0, 0x1000, memory), new("r", 0x1000, 0x1000, new RecordingHandler(0x1000, 0x11))]),
            PciRig.Bar(1, PciBarKind.Memory32, 0x1000, new RecordingHandler(0x1000, 0x22))));
        _rig.Write(0x10, 4, 0xc000_0000);
        _rig.Write(0x14, 4, 0xd000_0000);
        _rig.Write(4, 2, 2);
        _rig.Slots.Mapped.Keys.Should().Equal(0xc000_0000ul, 0xdfff_f000ul);

        _rig.Slots.Refuses = static address => address == 0xe000_2000;
        _rig.Write(0x10, 4, 0xe000_0000);

        _rig.Read(0x10, 4).Should().Be(0xe000_0000, "the register keeps what the guest wrote");
        function.GetMappedAddress(0).Should().BeNull();
        function.FailedMappings.Should().Be(1);
        Read(0xc000_1000).Should().Be(Ones);
        Read(0xe000_1000).Should().Be(0, "the RAM shows");
        Read(0xd000_0000).Should().Be(0x22222222, "the other BAR is untouched");
        _rig.Slots.Mapped.Keys.Should().Equal(0xdfff_f000ul);

        _rig.Write(4, 2, 0);
        _rig.Write(4, 2, 2);
        function.FailedMappings.Should().Be(2, "enabling tries again");
        Read(0xd000_0000).Should().Be(0x22222222);

        _rig.Write(0x10, 4, 0xc100_0000);
        Read(0xc100_1000).Should().Be(0x11111111);
        _rig.Slots.Mapped.Keys.Should().Equal(0xc100_0000ul, 0xdfff_f000ul);
        function.FailedMappings.Should().Be(2);
    }

    [Fact]
    [Trait("Behaviour", "PCI-6")]
    [Trait("Behaviour", "KVM-8")]
    public unsafe void A_refused_slot_of_a_bar_is_trapped()
    {
        using var memory = HostMemory.AllocateAnonymous(0x2000);
        memory.Pointer[0x1010] = 0x77;
        var device = new RecordingHandler(0x1000, 0x5a);
        PciFunction function = _rig.Add(PciRig.Function(new PciBar(
            0, PciBarKind.Memory32, 0x4000, [new("m", 0, 0x2000, memory), new("d", 0x2000, 0x1000, memory, 0, false, device)])));
        _rig.Slots.Refuses = static address => address >= 0xe000_0000;
        _rig.Write(0x10, 4, 0xe000_0000);
        _rig.Write(4, 2, 2);

        function.GetMappedAddress(0).Should().Be(0xe000_0000);
        function.FailedMappings.Should().Be(0);
        _rig.Slots.Mapped.Should().BeEmpty();
        _rig.Memory.Read(0xe000_1010, 1).Should().Be(0x77, "the mapping is reached by loads and stores");
        _rig.Memory.Write(0xe000_0004, 4, 0x1234_5678);
        ((uint*)memory.Pointer)[1].Should().Be(0x1234_5678);
        _rig.Memory.Read(0xe000_2000, 4).Should().Be(0x5a5a5a5a, "a device's memory by its own handler");
        Read(0xe000_3000).Should().Be(Ones);

        _rig.Write(0x10, 4, 0xc000_0000);
        _rig.Slots.Mapped.Keys.Should().Equal(0xc000_0000ul, 0xc000_2000ul);
    }

    [Fact]
    [Trait("Behaviour", "PCI-6")]
    public void Doorbells_follow_the_bar_and_a_failed_move_takes_them_along()
    {
        using var ram = HostMemory.AllocateAnonymous(0x8000);
        _rig.Memory.Add(new MemoryClaim("ram", ram, 0, 0x8000, priority: ClaimPriority.Background), 0xe000_0000 - 0x1000);
        using var memory = HostMemory.AllocateAnonymous(0x1000);
        using var kick = new EventFd();
        var notify = new RecordingHandler(0x1000);
        PciFunction function = _rig.Add(PciRig.Function(
            new PciBar(0, PciBarKind.Memory32, 0x2000, [new("m", 0, 0x1000, memory), new("notify", 0x1000, 0x1000, notify)])));
        using IDisposable doorbell = function.AddDoorbell("queue0", 0, 0x1004, 2, kick);
        _rig.Write(0x10, 4, 0xc000_0000);
        _rig.Write(4, 2, 2);
        _rig.Slots.Refuses = static address => address == 0xe000_2000;
        _rig.Write(0x10, 4, 0xe000_0000);
        _rig.Write(0x10, 4, 0xd000_0000);
        _rig.Memory.Write(0xd000_1004, 2, 0);
        notify.ToString().Should().Be("w4+2=0", "without a hypervisor the handler is told");

        doorbell.Dispose();
        doorbell.Dispose();
        _rig.Write(0x10, 4, 0xd100_0000);
        _rig.Write(4, 2, 0);
        function.FailedMappings.Should().Be(1);
        FluentActions.Invoking(() => function.AddDoorbell("x", 0, 0x10, 2, kick)).Should().Throw<ArgumentException>("host memory has no doorbells");
        FluentActions.Invoking(() => function.AddDoorbell("x", 0, 0x1fff, 2, kick)).Should().Throw<ArgumentException>();
    }

    [Fact]
    [Trait("Behaviour", "PCI-5")]
    public async Task While_a_bar_moves_readers_get_the_device_or_nothing()
    {
        _rig.Add(PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new ConstantHandler(0x66666666))));
        _rig.Write(0x10, 4, 0xc000_0000);
        _rig.Write(4, 2, 2);
        int strange = 0;
        bool stop = false;
        var reader = Task.Run(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                if (Read(0xc000_0ffc) is not (0x66666666 or Ones))
                {
                    Interlocked.Increment(ref strange);
                }
            }
        });
        for (int i = 0; i < 2_000; i++)
        {
            _rig.Write(0x10, 4, (i & 1) == 0 ? 0xc100_0000u : 0xc000_0000u);
            Read(_rig.Read(0x10, 4)).Should().Be(0x66666666);
        }

        Volatile.Write(ref stop, true);
        await reader.WaitAsync(TimeSpan.FromSeconds(30));
        strange.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "PCI-5")]
    public async Task Racing_writers_leave_decoding_in_agreement_with_the_registers()
    {
        PciFunction function = _rig.Add(PciRig.Function(PciRig.Bar(0, PciBarKind.Memory64, 0x1000, new ConstantHandler(0x77777777))));
        var writers = new Task[2];
        for (int w = 0; w < writers.Length; w++)
        {
            int seed = w;
            writers[w] = Task.Run(() =>
            {
                var random = new Random(seed);
                for (int i = 0; i < 1_000; i++)
                {
                    switch (random.Next(3))
                    {
                        case 0:
                            _rig.Write(4, 2, (uint)random.Next(4));
                            break;
                        case 1:
                            _rig.Write(0x10, 4, 0xc000_0000 + ((uint)random.Next(4) << 12));
                            break;
                        default:
                            _rig.Write(0x14, 4, (uint)random.Next(2));
                            break;
                    }
                }
            });
        }

        await Task.WhenAll(writers).WaitAsync(TimeSpan.FromSeconds(60));
        bool enabled = (function.Command & PciCommand.MemorySpace) != 0;
        function.GetMappedAddress(0).Should().Be(enabled ? function.GetBarAddress(0) : null);
        _rig.Memory.Read(function.GetBarAddress(0), 4).Should().Be(enabled ? 0x77777777 : Ones);
    }

    [Fact]
    public void Commands_that_change_no_decoding_cost_no_transaction()
    {
        PciFunction function = _rig.Add(PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new RecordingHandler(0x1000))));
        _rig.Write(0x10, 4, 0xc000_0000);
        _rig.Write(4, 2, 2);
        IReadOnlyList<AddressSpaceSegment> before = _rig.Memory.Segments;
        _rig.Write(4, 2, 0x407);
        _rig.Write(4, 2, 0x2);
        _rig.Write(0x10, 4, 0xc000_0000);
        _rig.Memory.Segments.Should().BeSameAs(before);
        function.GetMappedAddress(0).Should().Be(0xc000_0000);
    }

    [Fact]
    public void A_removed_function_decodes_nothing_and_can_be_added_elsewhere()
    {
        using var memory = HostMemory.AllocateAnonymous(0x1000);
        PciFunction function = _rig.Add(PciRig.Function(new PciBar(0, PciBarKind.Memory32, 0x2000, [new("m", 0x1000, 0x1000, memory)])));
        _rig.Write(0x10, 4, 0xc000_0000);
        _rig.Write(4, 2, 2);
        int segments = _rig.Memory.Segments.Count;
        for (int i = 0; i < 3; i++)
        {
            _rig.Bridge.Root.Remove(function);
            _rig.Slots.Mapped.Should().BeEmpty();
            _rig.Memory.Segments.Count.Should().BeLessThan(segments);
            _rig.Add(function, 7 + i);
            _rig.Slots.Mapped.Should().HaveCount(1);
            _rig.Memory.Segments.Count.Should().Be(segments);
        }

        function.Address.ToString().Should().Be("00:09.0");
        _rig.Bridge.Root.Remove(function);
        function.Dispose();
        FluentActions.Invoking(() => _rig.Bridge.Root.Remove(function)).Should().Throw<ArgumentException>();
    }

    private uint Read(ulong address) => (uint)_rig.Memory.Read(address, 4);
}
