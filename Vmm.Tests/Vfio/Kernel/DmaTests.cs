using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Interop;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>Mapping memory for devices, over a container and over an iommufd.</summary>
[Trait("Behaviour", "VFIO-11")]
public sealed class DmaTests : IDisposable
{
    private readonly HostMemory _memory = HostMemory.AllocateAnonymous(1 << 20);

    public void Dispose() => _memory.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public unsafe void A_mapping_is_one_call_and_one_mapping_that_its_unmapping_takes_away(bool iommufd)
    {
        using var rig = new Rig(iommufd);

        rig.Dma.Map(0x10_0000, _memory, 0x1000, 0x3000);
        rig.Dma.Map(0x20_0000, _memory, 0x8000, 0x1000, writable: false);

        rig.Dma.Count.Should().Be(2);
        rig.Space.Mappings.Should().HaveCount(2);
        rig.Space.Mappings[0x10_0000].Should().Be((0x3000ul, (ulong)_memory.Pointer + 0x1000, true));
        rig.Space.Mappings[0x20_0000].Should().Be((0x1000ul, (ulong)_memory.Pointer + 0x8000, false));
        rig.Kernel.Log.Count(line => line.Contains("MAP", StringComparison.Ordinal) && line.Contains("+0x", StringComparison.Ordinal)).Should().Be(2);

        rig.Dma.Unmap(0x10_0000, 0x3000);

        rig.Space.Mappings.Keys.Should().Equal(0x20_0000ul);
        rig.Dma.Count.Should().Be(1);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_device_reaches_what_is_mapped_and_nothing_else(bool iommufd)
    {
        using var rig = new Rig(iommufd);
        rig.Device.Configuration.Bytes[4] = 4;
        rig.Dma.Map(0x10_0000, _memory, 0, 0x1000);
        rig.Dma.Map(0x10_1000, _memory, 0x5000, 0x1000, writable: false);

        rig.Device.TryMaster(0x10_0ffe, [1, 2], write: true).Should().BeTrue();
        rig.Device.TryMaster(0x10_1000, [3], write: true).Should().BeFalse("that one is read-only");
        rig.Device.TryMaster(0x10_0fff, new byte[2], write: false).Should().BeTrue("both are readable");
        rig.Device.TryMaster(0x10_1fff, new byte[2], write: false).Should().BeFalse();
        Bytes(0xffe, 2).Should().Equal(1, 2);
        rig.Dma.Unmap(0x10_0000, 0x1000);
        rig.Device.TryMaster(0x10_0000, new byte[1], write: false).Should().BeFalse();
    }

    [Fact]
    public void Limits_come_from_the_kernel()
    {
        using var container = new Rig(false, kernel => kernel.PageSizes = 0x4020_0000);
        container.Dma.ValidRanges.Select(range => (range.Address, range.Length))
            .Should().Equal((0ul, 0xfee0_0000ul), (0xfef0_0000ul, 0x7f_0110_0000ul));
        container.Dma.Granularity.Should().Be(0x20_0000, "the smallest page that the IOMMU has");

        using var context = new Rig(
            true, kernel => kernel.IovaRanges = [.. Enumerable.Range(0, 40).Select(i => ((ulong)i << 20, ((ulong)i << 20) + 0xfffff))]);
        context.Dma.ValidRanges.Should().HaveCount(40, "room for 16 was too little: it is asked again");
        context.Dma.Granularity.Should().Be(0x1000);
    }

    [Theory]
    [InlineData(0x10_0000ul, 0x1000ul)]
    [InlineData(0x10_0fff, 1)]
    [InlineData(0xf_f000, 0x2000)]
    [InlineData(0x10_2000, 0x1000)]
    [InlineData(0xf_f000, 0x10000)]
    public void An_overlap_is_refused_with_what_is_there(ulong iova, ulong length)
    {
        (iova, length) = (iova & ~0xffful, (length + 0xfff) & ~0xffful);
        using var rig = new Rig(false);
        rig.Dma.Map(0x10_0000, _memory, 0, 0x3000);

        FluentActions.Invoking(() => rig.Dma.Map(iova, _memory, 0, length)).Should().Throw<VfioException>()
            .Where(e => e.Step == "VFIO_IOMMU_MAP_DMA" && e.Message.Contains("0x3000 bytes at 0x100000"));
        rig.Dma.Count.Should().Be(1);
        rig.Dma.Map(0xf_f000, _memory, 0, 0x1000);
        rig.Dma.Map(0x10_3000, _memory, 0, 0x1000);
        rig.Dma.Count.Should().Be(3, "neighbours are no overlap");
    }

    [Theory]
    [InlineData(0xfedf_f000ul, 0x2000ul)]
    [InlineData(0xfee0_0000, 0x1000)]
    [InlineData(0xfee0_0000, 0x10_0000)]
    [InlineData(0x7f_ffff_f000, 0x2000)]
    [InlineData(0xffff_ffff_ffff_f000, 0x1000)]
    public void An_address_that_the_IOMMU_does_not_map_is_refused_before_the_kernel_is_asked(ulong iova, ulong length)
    {
        using var rig = new Rig(false);

        FluentActions.Invoking(() => rig.Dma.Map(iova, _memory, 0, length))
            .Should().Throw<VfioException>().WithMessage("*outside what the IOMMU can map*0x0 to 0xfedfffff*");
        rig.Kernel.CountOf("VFIO_IOMMU_MAP_DMA").Should().Be(0);
    }

    [Theory]
    [InlineData(0ul, 0ul, 0ul)]
    [InlineData(0, 0, 0x800)]
    [InlineData(0x800, 0, 0x1000)]
    [InlineData(0, 0x800, 0x1000)]
    [InlineData(0, 0xf_f000, 0x2000)]
    [InlineData(0, 0xffff_ffff_ffff_f000, 0x1000)]
    [InlineData(0, 0, 0xffff_ffff_ffff_f000)]
    [InlineData(0xffff_ffff_ffff_f000, 0, 0x2000)]
    public void What_is_no_range_of_whole_pages_of_the_memory_is_a_mistake_of_the_caller(ulong iova, ulong offset, ulong length)
    {
        using var rig = new Rig(false);

        FluentActions.Invoking(() => rig.Dma.Map(iova, _memory, offset, length)).Should().Throw<ArgumentException>();
        rig.Dma.Count.Should().Be(0);
    }

    [Theory]
    [InlineData(0x10_0000ul, 0x1000ul)]
    [InlineData(0x10_0000, 0x4000)]
    [InlineData(0x10_1000, 0x1000)]
    [InlineData(0x30_0000, 0x1000)]
    public void Only_what_was_mapped_can_be_unmapped(ulong iova, ulong length)
    {
        using var rig = new Rig(false);
        rig.Dma.Map(0x10_0000, _memory, 0, 0x3000);

        FluentActions.Invoking(() => rig.Dma.Unmap(iova, length)).Should().Throw<VfioException>().Where(e => e.Step == "VFIO_IOMMU_UNMAP_DMA");
        rig.Kernel.CountOf("VFIO_IOMMU_UNMAP_DMA").Should().Be(0);
        rig.Dma.Count.Should().Be(1);
    }

    [Fact]
    public void A_refused_unmapping_keeps_the_mapping()
    {
        using var rig = new Rig(false);
        rig.Dma.Map(0x10_0000, _memory, 0, 0x1000);
        rig.Kernel.Refuse = line => line.StartsWith("VFIO_IOMMU_UNMAP_DMA", StringComparison.Ordinal) ? Errno.EINVAL : 0;

        FluentActions.Invoking(() => rig.Dma.Unmap(0x10_0000, 0x1000)).Should().Throw<VfioException>().Where(e => e.Errno == Errno.EINVAL);
        rig.Dma.Count.Should().Be(1);
        rig.Kernel.Refuse = _ => 0;
        rig.Dma.Unmap(0x10_0000, 0x1000);
        rig.Dma.Count.Should().Be(0);
    }

    [Fact]
    public void The_kernels_limit_of_mappings_is_named()
    {
        using var rig = new Rig(false, kernel => kernel.MappingLimit = 2);
        rig.Dma.Map(0, _memory, 0, 0x1000);
        rig.Dma.Map(0x1000, _memory, 0x1000, 0x1000);

        FluentActions.Invoking(() => rig.Dma.Map(0x2000, _memory, 0x2000, 0x1000)).Should().Throw<DmaMappingLimitException>()
            .WithMessage("*2 mappings are there and the kernel allows 0 more*dma_entry_limit*")
            .Where(e => e.Mappings == 2 && e.Errno == Errno.ENOSPC && e.Step == "VFIO_IOMMU_MAP_DMA");
        rig.Dma.Count.Should().Be(2);
    }

    [Fact]
    public void Locked_memory_is_what_is_mapped_now()
    {
        using var rig = new Rig(false, kernel => kernel.LockedMemoryLimit = 0x3000);
        rig.Dma.Map(0, _memory, 0, 0x2000);
        rig.Dma.Unmap(0, 0x2000);
        rig.Dma.Map(0, _memory, 0, 0x1000);

        FluentActions.Invoking(() => rig.Dma.Map(0x10000, _memory, 0, 0x4000)).Should().Throw<VfioException>()
            .WithMessage("*4 KiB are locked and 16 KiB more are wanted, the limit of locked memory is 12 KiB*more than 20 (ulimit -l KIB*");
    }

    [Fact]
    public void The_mapper_agrees_with_a_naive_model_over_any_sequence()
    {
        var random = new Random(20251);
        using var rig = new Rig(false);
        var model = new Dictionary<ulong, ulong>();
        for (int i = 0; i < 20_000; i++)
        {
            ulong iova = (ulong)random.Next(64) << 12;
            ulong length = (ulong)random.Next(1, 6) << 12;
            if (random.Next(2) == 0)
            {
                bool free = model.All(m => iova + length <= m.Key || m.Key + m.Value <= iova);
                Succeeds(() => rig.Dma.Map(iova, _memory, 0, length)).Should().Be(free);
                if (free)
                {
                    model.Add(iova, length);
                }
            }
            else
            {
                bool there = model.TryGetValue(iova, out ulong mapped) && mapped == length;
                Succeeds(() => rig.Dma.Unmap(iova, length)).Should().Be(there);
                if (there)
                {
                    model.Remove(iova);
                }
            }
        }

        rig.Space.Mappings.ToDictionary(m => m.Key, m => m.Value.Length).Should().Equal(model);
        rig.Dma.Count.Should().Be(model.Count);
    }

    [Fact]
    public void After_the_last_device_nothing_can_be_mapped()
    {
        var rig = new Rig(false);
        rig.Dispose();

        FluentActions.Invoking(() => rig.Dma.Map(0, _memory, 0, 0x1000)).Should().Throw<ObjectDisposedException>();
    }

    [Fact]
    public void Answers_that_contradict_themselves_are_refused()
    {
        foreach (Action<byte[]> lie in new Action<byte[]>[]
        {
            answer => BitConverter.TryWriteBytes(answer.AsSpan(16), 8u),
            answer => BitConverter.TryWriteBytes(answer.AsSpan(16), (uint)answer.Length),
            answer => BitConverter.TryWriteBytes(answer.AsSpan(24 + 4), 24u),
            answer => BitConverter.TryWriteBytes(answer.AsSpan(40 + 8), 3u),
            answer => BitConverter.TryWriteBytes(answer.AsSpan(40 + 8), uint.MaxValue),
            answer => BitConverter.TryWriteBytes(answer.AsSpan(40 + 16), ulong.MaxValue),
        })
        {
            var kernel = new FakeVfioKernel
            {
                Falsify = (request, _, answer) => { if (request == VfioRequests.VFIO_IOMMU_GET_INFO) { lie(answer); } },
            };
            kernel.AddController();

            kernel.Refused().Step.Should().Be("VFIO_IOMMU_GET_INFO");
            kernel.ShouldHoldNothing();
        }
    }

    private static bool Succeeds(Action action)
    {
        try
        {
            action();
            return true;
        }
        catch (VfioException)
        {
            return false;
        }
    }

    private unsafe byte[] Bytes(int offset, int count) => new Span<byte>(_memory.Pointer + offset, count).ToArray();

    /// <summary>A device that is attached.</summary>
    private sealed class Rig : IDisposable
    {
        private readonly VfioPciDevice _attached;

        public Rig(bool iommufd, Action<FakeVfioKernel>? prepare = null)
        {
            Kernel = new FakeVfioKernel { HasIommufd = iommufd };
            Device = Kernel.AddController();
            prepare?.Invoke(Kernel);
            _attached = Kernel.Attach(iommufd);
        }

        public FakeVfioKernel Kernel { get; }

        public FakeVfioDevice Device { get; }

        public IDmaMapper Dma => _attached.Dma;

        public FakeVfioSpace Space => Kernel.Spaces.Single();

        public void Dispose() => _attached.Dispose();
    }
}
