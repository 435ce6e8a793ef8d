using System;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>Memory of a caller's own that a device reaches, and the kernel's limit of mappings.</summary>
[Trait("Behaviour", "DRV-8")]
public sealed class CallerMemoryTests : IDisposable
{
    private readonly FakeVfioKernel _kernel = new();
    private readonly FakeVfioDevice _fake;
    private readonly VfioPciDevice _device;
    private readonly DeviceFunctionAccess _access;
    private readonly HostMemory _memory = HostMemory.AllocateAnonymous(0x10000);

    public CallerMemoryTests()
    {
        _fake = _kernel.AddController();
        _device = _kernel.Attach();
        _access = new DeviceFunctionAccess(_device);
        _access.WriteConfiguration(4, 2, 4);
    }

    public void Dispose()
    {
        _access.Dispose();
        _device.Dispose();
        _memory.Dispose();
        _kernel.ShouldHoldNothing();
    }

    [Fact]
    public void The_device_reaches_the_part_that_was_mapped_and_what_it_writes_is_in_the_callers_memory()
    {
        using IDmaMapping mapping = _access.MapMemory(_memory, 0x2000, 0x3000);

        mapping.Length.Should().Be(0x3000);
        _fake.TryMaster(mapping.Iova + 0x2fff, [9], write: true).Should().BeTrue();
        _memory.GetSpan(0x5000)[0x4fff].Should().Be(9);
        _fake.TryMaster(mapping.Iova + 0x3000, new byte[1], write: false).Should().BeFalse("nothing behind it is mapped");
        mapping.Dispose();
        _fake.TryMaster(mapping.Iova, new byte[1], write: false).Should().BeFalse();
        _memory.GetSpan(0x5000)[0x4fff].Should().Be(9, "the memory is the caller's");
    }

    [Fact]
    public void Any_part_translates_and_nothing_else()
    {
        using IDmaMapping mapping = _access.MapMemory(_memory, 0x2000, 0x3000);
        Span<byte> all = _memory.GetSpan(0x10000);

        mapping.Translate(0, 0x3000).Should().Be(mapping.Iova);
        mapping.Translate(0x1235, 7).Should().Be(mapping.Iova + 0x1235);
        mapping.Translate(0x2fff, 1).Should().Be(mapping.Iova + 0x2fff);
        foreach ((ulong offset, ulong length) in new (ulong, ulong)[] { (0x2fff, 2), (0x3001, 0), (ulong.MaxValue, 2), (1, ulong.MaxValue) })
        {
            FluentActions.Invoking(() => mapping.Translate(offset, length)).Should().Throw<ArgumentOutOfRangeException>();
        }

        mapping.TryTranslate(all.Slice(0x3333, 0x111), out ulong iova).Should().BeTrue();
        iova.Should().Be(mapping.Iova + 0x1333);
        mapping.TryTranslate(all.Slice(0x2000, 0x3000), out _).Should().BeTrue();
        mapping.TryTranslate(all.Slice(0x1fff, 2), out _).Should().BeFalse();
        mapping.TryTranslate(all.Slice(0x4fff, 2), out _).Should().BeFalse();
        mapping.TryTranslate(new byte[1], out iova).Should().BeFalse();
        iova.Should().Be(0);
    }

    [Fact]
    public void A_part_of_a_buffer_translates_too()
    {
        using IDmaBuffer buffer = _access.MapBuffer(0x1800);

        buffer.Length.Should().Be(0x1800);
        buffer.Translate(0x17ff, 1).Should().Be(buffer.Iova + 0x17ff);
        buffer.Invoking(b => b.Translate(0x17ff, 2)).Should().Throw<ArgumentOutOfRangeException>();
        buffer.TryTranslate(buffer.Span.Slice(0x777, 0x100), out ulong iova).Should().BeTrue();
        iova.Should().Be(buffer.Iova + 0x777);
        buffer.TryTranslate(new byte[4], out _).Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "DRV-7")]
    public void Memory_that_is_disposed_first_stays_until_it_is_unmapped()
    {
        var memory = HostMemory.AllocateAnonymous(0x1000);
        using IDmaMapping mapping = _access.MapMemory(memory, 0, 0x1000);
        memory.Dispose();

        byte[] seen = new byte[1];
        _fake.TryMaster(mapping.Iova, [0x77], write: true).Should().BeTrue();
        _fake.TryMaster(mapping.Iova, seen, write: false).Should().BeTrue();
        seen[0].Should().Be(0x77);
    }

    [Fact]
    public void Memory_can_be_given_for_reading_only()
    {
        using var file = new TemporaryFile(new byte[0x2000]);
        using System.IO.FileStream stream = System.IO.File.OpenRead(file.Path);
        using var image = HostMemory.MapDescriptor((int)stream.SafeFileHandle.DangerousGetHandle(), 0, 0x2000, writable: false);

        FluentActions.Invoking(() => _access.MapMemory(image, 0, 0x2000)).Should().Throw<ArgumentException>();
        using IDmaMapping mapping = _access.MapMemory(image, 0, 0x2000, writable: false);
        _fake.TryMaster(mapping.Iova, [1], write: true).Should().BeFalse();
        _fake.TryMaster(mapping.Iova + 0x1fff, new byte[1], write: false).Should().BeTrue();
    }

    [Theory]
    [InlineData(0ul, 0ul)]
    [InlineData(0x800, 0x1000)]
    [InlineData(0, 0x800)]
    [InlineData(0xf000, 0x2000)]
    [InlineData(0xffff_ffff_ffff_f000, 0x2000)]
    public void What_is_no_range_of_whole_pages_of_the_memory_is_a_mistake_of_the_caller(ulong offset, ulong length)
    {
        FluentActions.Invoking(() => _access.MapMemory(_memory, offset, length)).Should().Throw<ArgumentException>();
        _device.Dma.Count.Should().Be(0);
    }

    [Fact]
    public void The_kernels_limit_of_mappings_is_an_error_of_its_own_that_says_what_helps_and_takes_nothing()
    {
        var kernel = new FakeVfioKernel { MappingLimit = 2 };
        kernel.AddController();
        using VfioPciDevice device = kernel.Attach();
        using var access = new DeviceFunctionAccess(device);
        using IDmaBuffer one = access.MapBuffer(1);
        IDmaBuffer two = access.MapBuffer(1);

        FluentActions.Invoking(() => access.MapBuffer(1)).Should().Throw<DmaMappingLimitException>()
            .WithMessage("*dma_entry_limit*fewer and larger ranges*").Where(e => e.Mappings == 2 && e.Errno == Errno.ENOSPC);
        FluentActions.Invoking(() => access.MapMemory(_memory, 0, 0x1000)).Should().Throw<DmaMappingLimitException>();

        ulong place = two.Iova;
        two.Dispose();
        using IDmaMapping three = access.MapMemory(_memory, 0, 0x1000);
        three.Iova.Should().Be(place, "no address was lost");
    }

    [Fact]
    public void Memory_that_cannot_be_pinned_takes_no_address()
    {
        _kernel.LockedMemoryLimit = 0;
        FluentActions.Invoking(() => _access.MapMemory(_memory, 0, 0x1000)).Should().Throw<VfioException>().WithMessage("*ulimit -l*");
        _kernel.LockedMemoryLimit = ulong.MaxValue;
        using IDmaMapping mapping = _access.MapMemory(_memory, 0, 0x1000);
        mapping.Iova.Should().Be(0x10_0000);
    }
}
