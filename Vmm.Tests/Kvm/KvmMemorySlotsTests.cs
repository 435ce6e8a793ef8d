using System;
using System.Linq;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel;
using Vmm.Kvm;

namespace Vmm.Tests.Kvm;

public sealed class KvmMemorySlotsTests
{
    private const int NoSpace = 28;
    private readonly FakeVmCalls _kernel = new();

    [Fact]
    [Trait("Behaviour", "KVM-6")]
    public void A_slot_removes_exactly_itself_and_its_number_is_used_again()
    {
        KvmMemorySlots slots = Make(8);
        using IDisposable first = slots.Map(0, 0x1000, 0x10000, readOnly: false);
        IDisposable second = slots.Map(0x4000, 0x2000, 0x20000, readOnly: false);
        second.Dispose();
        second.Dispose();
        using IDisposable third = slots.Map(0x8000, 0x1000, 0x30000, readOnly: false);

        _kernel.Log.Should().Equal(
            "slot 0 flags 0 0x0+0x1000", "slot 1 flags 0 0x4000+0x2000", "slot 1 flags 0 0x4000+0x0", "slot 1 flags 0 0x8000+0x1000");
        slots.Count.Should().Be(2);
    }

    [Fact]
    [Trait("Behaviour", "KVM-8")]
    public void A_read_only_slot_is_read_only_in_the_kernel()
    {
        using IDisposable slot = Make(8).Map(0xFFFF_0000, 0x1000, 0x10000, readOnly: true);
        _kernel.Log.Should().Equal("slot 0 flags 2 0xFFFF0000+0x1000");
    }

    [Fact]
    [Trait("Behaviour", "KVM-8")]
    public void A_kernel_without_read_only_slots_is_named()
    {
        var slots = new KvmMemorySlots(_kernel, 8, readOnlySupported: false, NullLogger.Instance);
        Action map = () => slots.Map(0, 0x1000, 0x10000, readOnly: true);
        map.Should().Throw<HostException>().WithMessage("*KVM_CAP_READONLY_MEM*");
        _kernel.Log.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "KVM-8")]
    [Trait("Behaviour", "KVM-9")]
    public void Exhaustion_names_the_limit_and_ends_when_a_slot_is_freed()
    {
        KvmMemorySlots slots = Make(2);
        IDisposable first = slots.Map(0, 0x1000, 0x10000, readOnly: false);
        using IDisposable second = slots.Map(0x1000, 0x1000, 0x10000, readOnly: false);
        Action third = () => slots.Map(0x2000, 0x1000, 0x10000, readOnly: false);

        HostException error = third.Should().Throw<HostException>().WithMessage("*all 2 memory slots*KVM_CAP_NR_MEMSLOTS*").Which;
        error.Step.Should().Be("KVM_SET_USER_MEMORY_REGION");
        error.Errno.Should().Be(NoSpace);
        first.Dispose();
        third.Should().NotThrow();
    }

    [Fact]
    [Trait("Behaviour", "KVM-9")]
    public void A_refused_slot_leaves_nothing_behind()
    {
        KvmMemorySlots slots = Make(2);
        _kernel.Answer = line => line.StartsWith("slot 0", StringComparison.Ordinal) ? -17 : 0;
        Action map = () => slots.Map(0x5000, 0x1000, 0x10000, readOnly: false);
        map.Should().Throw<HostException>().WithMessage("*0x5000*overlaps*errno 17*");
        slots.Count.Should().Be(0);

        _kernel.Answer = _ => 0;
        using IDisposable first = slots.Map(0, 0x1000, 0x10000, readOnly: false);
        using IDisposable second = slots.Map(0x1000, 0x1000, 0x10000, readOnly: false);
        slots.Count.Should().Be(2);
    }

    [Fact]
    public void Parts_of_pages_and_wrapping_ranges_are_misuse()
    {
        KvmMemorySlots slots = Make(2);
        (ulong Address, ulong Length, int Host)[] bad =
            [(0, 0, 0x1000), (1, 0x1000, 0x1000), (0, 0x800, 0x1000), (0, 0x1000, 0x1800), (ulong.MaxValue & ~0xFFFul, 0x2000, 0x1000)];
        foreach ((ulong address, ulong length, int host) in bad)
        {
            Action map = () => slots.Map(address, length, host, readOnly: false);
            map.Should().Throw<ArgumentException>();
        }

        using IDisposable last = slots.Map(ulong.MaxValue & ~0xFFFul, 0x1000, 0x1000, readOnly: false);
        _kernel.Log.Should().ContainSingle();
    }

    [Fact]
    public void Removal_after_the_machine_is_gone_is_harmless()
    {
        KvmMemorySlots slots = Make(2);
        IDisposable slot = slots.Map(0, 0x1000, 0x10000, readOnly: false);
        _kernel.IsClosed = true;
        slot.Dispose();
        slots.Count.Should().Be(0);
        _kernel.Log.Should().ContainSingle();
    }

    [Fact]
    public void Diagnostics_touch_nothing_but_plain_ram()
    {
        // Host addresses where nothing is: a load would end the process.
        KvmMemorySlots slots = Make(4);
        using IDisposable device = slots.Map(0x8000, 0x1000, 0x10000, readOnly: false);
        using IDisposable rom = slots.Map(0x9000, 0x1000, 0x10000, readOnly: true);
        slots.Read(0x8000, new byte[4]).Should().Be(0);
        slots.Read(0x9000, new byte[4]).Should().Be(0);
    }

    [Fact]
    public unsafe void Reading_follows_the_slots_piecewise()
    {
        byte* memory = (byte*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc(0x2000, 0x1000);
        new Span<byte>(memory, 0x1000).Fill(1);
        new Span<byte>(memory + 0x1000, 0x1000).Fill(2);
        KvmMemorySlots slots = Make(4);
        using (slots.Map(0x8000, 0x1000, (nint)(memory + 0x1000), readOnly: false, isRam: true))
        using (slots.Map(0x9000, 0x1000, (nint)memory, readOnly: false, isRam: true))
        {
            byte[] bytes = new byte[8];
            slots.Read(0x8FFE, bytes.AsSpan(0, 4)).Should().Be(4);
            bytes.Take(4).Should().Equal([2, 2, 1, 1]);
            slots.Read(0x9FFC, bytes).Should().Be(4);
            slots.Read(0x7FFF, bytes).Should().Be(0);
        }

        System.Runtime.InteropServices.NativeMemory.AlignedFree(memory);
    }

    private KvmMemorySlots Make(int limit) => new(_kernel, limit, readOnlySupported: true, NullLogger.Instance);
}
