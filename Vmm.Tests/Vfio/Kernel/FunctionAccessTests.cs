using System;
using System.Threading;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>What a user-space driver gets of a device that the kernel gives us.</summary>
[Trait("Behaviour", "DRV-1")]
public sealed class FunctionAccessTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly FakeVfioKernel _kernel = new();
    private readonly FakeVfioDevice _fake;
    private readonly VfioPciDevice _device;
    private readonly DeviceFunctionAccess _access;

    public FunctionAccessTests()
    {
        _fake = _kernel.AddController();
        _device = _kernel.Attach();
        _access = new DeviceFunctionAccess(_device);
    }

    public void Dispose()
    {
        _access.Dispose();
        _device.Dispose();
        _kernel.ShouldHoldNothing();
    }

    [Fact]
    public void Accesses_reach_the_device_with_their_width_and_read_all_ones_where_it_does_not_answer()
    {
        _access.WriteConfiguration(0x10, 4, 0x1234_5678);
        _access.ReadConfiguration(0x10, 2).Should().Be(0x5678);
        _access.ReadConfiguration(0x13, 1).Should().Be(0x12);
        _access.WriteBar(0, 0x20, 8, 0x1122_3344_5566_7788);
        _access.ReadBar(0, 0x24, 4).Should().Be(0x1122_3344);
        _fake.Accesses[^2].Should().Be((PciRegionIndex.Bar0, 0x20ul, 8, (ulong?)0x1122_3344_5566_7788));
        _fake.Accesses[^1].Should().Be((PciRegionIndex.Bar0, 0x24ul, 4, (ulong?)null));
        _access.ReadBar(0, 0x4000, 4).Should().Be(0xffff_ffff);
        _access.ReadBar(3, 0, 8).Should().Be(ulong.MaxValue);
        _access.WriteBar(3, 0, 8, 0);
    }

    [Fact]
    public void Lengths_and_vectors_are_the_devices()
    {
        _access.GetBarLength(0).Should().Be(0x4000);
        _access.GetBarLength(1).Should().Be(0);
        FluentActions.Invoking(() => _access.GetBarLength(6)).Should().Throw<ArgumentException>();
        _access.MessageVectors.Should().Be(65);
        _access.HasPin.Should().BeTrue();
    }

    [Fact]
    public void Messages_tell_their_vector()
    {
        using var told = new CountdownEvent(2);
        int seen = 0;
        _access.EnableMessages(3, vector =>
        {
            Interlocked.Or(ref seen, 1 << vector);
            told.Signal();
        });

        _fake.Signal(PciInterruptIndex.Msix, 2).Should().BeTrue();
        _fake.Signal(PciInterruptIndex.Msix, 0).Should().BeTrue();

        told.Wait(Limit).Should().BeTrue();
        seen.Should().Be(0b101);
        _access.DisableInterrupts();
        _fake.Interrupts[2]!.Triggers.Should().BeNull();
        _access.DisableInterrupts();
        _access.EnableMessages(1, _ => { });
        _fake.Interrupts[2]!.Triggers.Should().HaveCount(1, "they can be enabled anew");
    }

    [Fact]
    public void The_pin_is_heard_again_only_when_it_was_served()
    {
        _fake.Configuration.Bytes[5] = 0x04;
        using var asserted = new SemaphoreSlim(0);
        _access.EnablePin(() => asserted.Release());
        (_fake.Command & 0x400).Should().Be(0, "Interrupt Disable is taken away");

        for (int i = 0; i < 3; i++)
        {
            _fake.Signal(PciInterruptIndex.Pin).Should().BeTrue();
            asserted.Wait(Limit).Should().BeTrue();
            _fake.Signal(PciInterruptIndex.Pin).Should().BeFalse();
            _access.PinServed();
        }
    }

    [Fact]
    public void Without_an_enabled_pin_there_is_nothing_to_serve()
    {
        _access.PinServed();

        _kernel.CountOf("VFIO_DEVICE_SET_IRQS").Should().Be(0);
    }

    [Fact]
    public void Refused_interrupts_leave_none_enabled()
    {
        _kernel.Refuse = line => line.Contains("trigger", StringComparison.Ordinal) ? Errno.ENOSPC : 0;
        FluentActions.Invoking(() => _access.EnableMessages(2, _ => { })).Should().Throw<VfioException>();
        _kernel.Refuse = _ => 0;

        _access.EnablePin(() => { });
        FluentActions.Invoking(() => _access.EnableMessages(1, _ => { })).Should().Throw<InvalidOperationException>();
        FluentActions.Invoking(() => _access.EnableMessages(66, _ => { })).Should().Throw<ArgumentException>();
    }

    [Fact]
    [Trait("Behaviour", "DRV-8")]
    public void Buffers_are_zeroed_memory_that_the_device_reaches_until_they_are_disposed()
    {
        _access.WriteConfiguration(4, 2, 4);
        IDmaBuffer first = _access.MapBuffer(100);
        IDmaBuffer second = _access.MapBuffer(0x1001);

        first.Iova.Should().BeGreaterThanOrEqualTo(0x10_0000);
        first.Span.Length.Should().Be(100);
        first.Span.ToArray().Should().OnlyContain(value => value == 0);
        _device.Dma.Count.Should().Be(2);
        _fake.TryMaster(second.Iova + 0x1000, [7], write: true).Should().BeTrue();
        second.Span[0x1000].Should().Be(7);

        first.Dispose();
        first.Dispose();
        _fake.TryMaster(first.Iova, new byte[1], write: false).Should().BeFalse();
        _device.Dma.Count.Should().Be(1);
        second.Dispose();
        _device.Dma.Count.Should().Be(0);
        using IDmaBuffer third = _access.MapBuffer(1);
        third.Iova.Should().Be(first.Iova, "the address is free again");
    }

    [Fact]
    [Trait("Behaviour", "DRV-8")]
    public void A_buffer_that_cannot_be_pinned_takes_no_address()
    {
        ulong next;
        using (IDmaBuffer probe = _access.MapBuffer(1))
        {
            next = probe.Iova;
        }

        _kernel.LockedMemoryLimit = 0;
        FluentActions.Invoking(() => _access.MapBuffer(1)).Should().Throw<VfioException>().WithMessage("*ulimit -l*");
        _kernel.LockedMemoryLimit = ulong.MaxValue;

        using IDmaBuffer buffer = _access.MapBuffer(1);
        buffer.Iova.Should().Be(next);
    }

    [Fact]
    [Trait("Behaviour", "DRV-8")]
    public void Addresses_lie_in_what_the_IOMMU_maps_and_above_the_first_MiB()
    {
        GuestRange.TryCreate(0, 0x8000, out GuestRange low).Should().BeTrue();
        GuestRange.TryCreate(0xf_f000, 0x3000, out GuestRange across).Should().BeTrue();
        IovaSpace space = DeviceFunctionAccess.CreateIovaSpace(new Ranges([low, across]));

        space.Allocate(0x1000).Should().Be(0x10_0000);
        space.Allocate(0x1000).Should().Be(0x10_1000);
        FluentActions.Invoking(() => space.Allocate(0x1000)).Should().Throw<IovaExhaustedException>();
    }

    [Fact]
    [Trait("Behaviour", "DRV-8")]
    public void Devices_of_one_address_space_share_its_addresses()
    {
        var kernel = new FakeVfioKernel();
        kernel.AddController();
        kernel.AddController("0000:00:11.0", 6);
        var host = new VfioHost(kernel);
        using VfioPciDevice one = host.Attach(kernel.Devices[0].Path);
        using VfioPciDevice two = host.Attach(kernel.Devices[1].Path);
        IovaSpace shared = DeviceFunctionAccess.CreateIovaSpace(one.Dma);
        using var first = new DeviceFunctionAccess(one, shared);
        using var second = new DeviceFunctionAccess(two, shared);

        using IDmaBuffer a = first.MapBuffer(0x1000);
        using IDmaBuffer b = second.MapBuffer(0x1000);

        b.Iova.Should().NotBe(a.Iova);
        one.Dma.Count.Should().Be(2);
    }

    private sealed class Ranges(GuestRange[] ranges) : IDmaMapper
    {
        public System.Collections.Generic.IReadOnlyList<GuestRange> ValidRanges => ranges;

        public bool CanMapDevices => true;

        public ulong Granularity => 0x1000;

        public int Count => 0;

        public void Map(ulong iova, HostMemory memory, ulong offset, ulong length, bool writable = true) => throw new NotSupportedException();

        public void Unmap(ulong iova, ulong length) => throw new NotSupportedException();
    }
}
