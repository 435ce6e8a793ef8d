using System;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>Guest RAM follows into the I/O address space as regions come and go.</summary>
[Trait("Behaviour", "VFIO-11")]
public sealed class GuestMemoryDmaTests : IDisposable
{
    private readonly HostMemory _ram = HostMemory.AllocateAnonymous(16 << 20);
    private readonly GuestMemory _memory = new();
    private readonly FakeVfioKernel _kernel = new();
    private readonly ListLogger _log = new();

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void There_are_as_many_mappings_as_regions_however_large()
    {
        // Two halves of 5 GiB around the hole of a PC; the fake kernel pins nothing.
        using var large = HostMemory.AllocateAnonymous(5ul << 30);
        _memory.Add(0, large, 0, 3ul << 30);
        _memory.Add(4ul << 30, large, 3ul << 30, 2ul << 30);
        using VfioPciDevice device = Attach();

        _kernel.CountOf("VFIO_IOMMU_MAP_DMA").Should().Be(2);
        device.Dma.Count.Should().Be(2);
        _kernel.Spaces.Single().Mappings.Select(m => (m.Key, m.Value.Length)).Should().Equal((0ul, 3ul << 30), (4ul << 30, 2ul << 30));
    }

    [Fact]
    public void A_region_that_comes_is_mapped_before_devices_see_it_and_one_that_goes_is_unmapped_before_its_memory_may_go()
    {
        _memory.Add(0, _ram, 0, 1 << 20);
        using VfioPciDevice device = Attach();

        GuestMemoryRegion added = _memory.Add(1ul << 32, _ram, 1 << 20, 2 << 20);
        Mapped().Should().Equal((0ul, 1ul << 20), (1ul << 32, 2ul << 20));

        _memory.Remove(added);
        Mapped().Should().Equal((0ul, 1ul << 20));
        _log.Entries.Should().BeEmpty();
    }

    [Fact]
    public void A_region_that_cannot_be_mapped_is_not_added()
    {
        _memory.Add(0, _ram, 0, 1 << 20);
        using VfioPciDevice device = Attach();
        _kernel.LockedMemoryLimit = 2 << 20;

        FluentActions.Invoking(() => _memory.Add(1ul << 32, _ram, 1 << 20, 4 << 20)).Should().Throw<VfioException>().WithMessage("*ulimit -l*");

        _memory.Current.Regions.Should().ContainSingle();
        Mapped().Should().ContainSingle();
    }

    [Fact]
    public void A_region_over_a_hole_of_the_IOMMU_is_refused_whole()
    {
        using VfioPciDevice device = Attach();

        FluentActions.Invoking(() => _memory.Add(0xfedf_f000, _ram, 0, 0x1000 + 0x10_0000 + 0x1000)).Should().Throw<VfioException>();

        _kernel.CountOf("VFIO_IOMMU_MAP_DMA").Should().Be(0);
    }

    [Fact]
    public void A_refused_removal_is_logged_and_the_region_goes()
    {
        GuestMemoryRegion region = _memory.Add(0, _ram, 0, 1 << 20);
        using VfioPciDevice device = Attach();
        _kernel.Refuse = line => line.StartsWith("VFIO_IOMMU_UNMAP_DMA", StringComparison.Ordinal) ? Errno.EINVAL : 0;

        _memory.Remove(region);

        _memory.Current.Regions.Should().BeEmpty();
        _log.Entries.Should().ContainSingle(entry => entry.Text.Contains("stays mapped"));
        _kernel.Refuse = _ => 0;
    }

    [Fact]
    public void Memory_outlives_devices_and_devices_memory()
    {
        GuestMemoryRegion region = _memory.Add(0, _ram, 0, 1 << 20);
        VfioPciDevice first = Attach();
        first.Dispose();
        _memory.Remove(region);
        _kernel.ShouldHoldNothing();

        using VfioPciDevice second = Attach();
        _memory.Add(0, _ram, 0, 1 << 20);
        Mapped().Should().ContainSingle();
    }

    [Fact]
    public void Regions_come_and_go_while_devices_master_memory()
    {
        _memory.Add(0, _ram, 0, 1 << 20);
        using VfioPciDevice device = Attach();
        FakeVfioDevice fake = _kernel.Devices[0];
        fake.Configuration.Bytes[4] = 4;
        using var stop = new CancellationTokenSource();
        int lost = 0;
        var mastering = new Thread(() =>
        {
            Span<byte> bytes = stackalloc byte[8];
            while (!stop.IsCancellationRequested)
            {
                lock (_kernel)
                {
                    lost += fake.TryMaster(0x8000, bytes, write: true) ? 0 : 1;
                }
            }
        });
        mastering.Start();
        var random = new Random(7);
        for (int i = 0; i < 300; i++)
        {
            GuestMemoryRegion region;
            lock (_kernel)
            {
                region = _memory.Add((ulong)random.Next(1, 64) << 28, _ram, 1 << 20, (ulong)random.Next(1, 512) << 12);
                Mapped().Should().Equal(_memory.Current.Regions.Select(r => (r.Address, r.Length)));
            }

            lock (_kernel)
            {
                _memory.Remove(region);
            }
        }

        stop.Cancel();
        mastering.Join();
        lost.Should().Be(0, "the region that stayed was mapped all the time");
        Mapped().Should().ContainSingle();
    }

    private VfioPciDevice Attach()
    {
        if (_kernel.Devices.Count == 0)
        {
            _kernel.AddController();
        }

        return new VfioHost(_kernel, _memory, null, _log).Attach(FakeDevices.Path);
    }

    private (ulong Address, ulong Length)[] Mapped() => [.. _kernel.Spaces.Single().Mappings.Select(m => (m.Key, m.Value.Length))];
}
