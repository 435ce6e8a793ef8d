using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>Where a ring finds its memory: across regions, in memory that comes and goes, and through an IOMMU that is strict.</summary>
public sealed class DmaPlacementTests : IDisposable
{
    private const ulong High = 1UL << 32;
    private const ulong LastPage = 0xffff_ffff_ffff_f000;

    private readonly GuestRam _ram = new();
    private readonly CountingVector _interrupt = new();
    private readonly DescriptorChain _chain = new();

    public void Dispose()
    {
        _ram.Dispose();
        _interrupt.Dispose();
    }

    [Theory]
    [BothForms(true)]
    [BothForms(false)]
    [Trait("Behaviour", "MEM-1")]
    public void A_ring_lies_across_regions_only_where_the_host_has_them_in_one_run(RingForm form, bool oneRun)
    {
        const ulong Half = 0x10000;
        using var memory = HostMemory.AllocateAnonymous(2 * Half);
        _ram.Memory.Add(High, memory, oneRun ? 0 : Half, Half);
        _ram.Memory.Add(High + Half, memory, oneRun ? Half : 0, Half);
        var driver = RingDriver.Create(form, _ram, 8);
        ulong descriptors = High + Half - 64;
        VirtqueueConfiguration configuration = driver.Configuration with { Descriptors = descriptors };
        BareRing.TryCreate(configuration, _ram.Dma, _interrupt, out Virtqueue? queue, out string? reason).Should().Be(oneRun);
        if (!oneRun)
        {
            reason.Should().Contain(DescriptorArea(form));
            return;
        }

        ulong data = _ram.Place([1, 2, 3, 4]);
        driver.Add(Readable(data, 1), Readable(data + 1, 1), Readable(data + 2, 1), Readable(data + 3, 1), Writable(data, 4), Writable(data + 8, 1));
        driver.Publish();
        _ram.Memory.TryWrite(descriptors, _ram.Read(driver.Descriptors, 8 * 16)).Should().BeTrue();
        using (queue!.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue(queue.BrokenReason);
            byte[] read = new byte[4];
            _chain.Readable.CopyTo(read).Should().Be(4);
            read.Should().Equal(1, 2, 3, 4);
            _chain.WritableLength.Should().Be(5);
        }
    }

    [Theory]
    [BothForms]
    [Trait("Behaviour", "MEM-4")]
    public void Buffers_in_memory_that_is_taken_away_break_the_ring(RingForm form)
    {
        GuestMemoryRegion extra = _ram.AddRegion(High, 1 << 20);
        var driver = RingDriver.Create(form, _ram, 8);
        Virtqueue queue = Create(driver.Configuration);
        driver.Add(Writable(High, 64));
        driver.Add(Writable(High + 64, 64));
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
        }

        _ram.RemoveRegion(extra);
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain("not in RAM");
    }

    [Theory]
    [InlineData(RingForm.Split, "used ring")]
    [InlineData(RingForm.Packed, "device event suppression")]
    [Trait("Behaviour", "MEM-4")]
    public async Task Memory_that_comes_and_goes_during_a_stay_is_noticed_in_it_and_after_it(RingForm form, string area)
    {
        GuestMemoryRegion ring = _ram.AddRegion(High, 0x10000);
        var driver = RingDriver.Create(form, _ram, 8);
        Virtqueue queue = Create(driver.Configuration with { Device = High });
        driver.Add(Readable(2 * High, 2));
        driver.Publish();
        Task removal;
        using (queue.Enter())
        {
            removal = Task.Factory.StartNew(
                () =>
                {
                    _ram.AddRegion(2 * High, 0x1000);
                    _ram.Write(2 * High, (ushort)0x0605);

                    // Waits for the end of our stay.
                    _ram.RemoveRegion(ring);
                },
                CancellationToken.None,
                TaskCreationOptions.LongRunning,
                TaskScheduler.Default);
            SpinWait.SpinUntil(() => !_ram.Memory.Current.Regions.Contains(ring), TimeSpan.FromSeconds(60)).Should().BeTrue();

            queue.TryPop(_chain).Should().BeTrue("the driver uses what was added already");
            byte[] read = new byte[2];
            _chain.Readable.CopyTo(read).Should().Be(2);
            read.Should().Equal(5, 6);
            queue.Complete(_chain, 0);
            queue.IsBroken.Should().BeFalse("what was there at the beginning stays to the end of the stay");
        }

        await removal.WaitAsync(TimeSpan.FromSeconds(60));
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain(area);
    }

    [Theory]
    [InlineData(RingForm.Split, 8, false, "used ring")]
    [InlineData(RingForm.Split, 8, true, "used ring")]
    [InlineData(RingForm.Packed, 5, false, "descriptor ring")]
    [InlineData(RingForm.Packed, 5, true, "device event suppression")]
    [Trait("Behaviour", "VTP-17")]
    public void Each_area_is_asked_for_as_it_is_used_reading_or_writing(RingForm form, int size, bool indirect, string area)
    {
        var driver = RingDriver.Create(form, _ram, size, RingFeatures.IndirectDescriptors);
        ulong readable = _ram.Allocate(4096, 4096);
        ulong writable = _ram.Allocate(4096, 4096);
        ulong table = _ram.Allocate(4096, 4096);
        var strict = new PageTranslator();

        // The device writes used descriptors into a packed ring.
        strict.Map(0x10000, driver.Descriptors, read: true, write: form == RingForm.Packed);
        strict.Map(0x20000, driver.Driver, read: true, write: false);
        strict.Map(0x30000, driver.Device, read: false, write: true);
        strict.Map(0x40000, readable, read: true, write: false);
        strict.Map(0x50000, writable, read: false, write: true);
        strict.Map(0x60000, table, read: true, write: false);
        _ram.Dma.Translator = strict;
        VirtqueueConfiguration configuration = driver.Configuration with
        {
            Descriptors = 0x10000 + (driver.Descriptors % 4096),
            Driver = 0x20000 + (driver.Driver % 4096),
            Device = 0x30000 + (driver.Device % 4096),
        };
        Virtqueue queue = Create(configuration);
        GuestBuffer[] buffers = [Readable(0x40000, 4), Writable(0x50000, 4)];
        _ram.Write(readable, 0x04030201);
        _ = indirect ? driver.AddIndirectAt(table, buffers) : driver.Add(buffers);
        if (indirect)
        {
            _ram.Write(driver.Descriptors, 0x60000UL);
        }

        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue(queue.BrokenReason);
            (_chain.Readable.Count, _chain.Writable.Count).Should().Be((1, 1), "a buffer in one page is one piece");
            byte[] bytes = new byte[4];
            _chain.Readable.CopyTo(bytes).Should().Be(4);
            _chain.Writable.CopyFrom(bytes).Should().Be(4);
            queue.Complete(_chain, 4);
            queue.DisableKicks();
            driver.KicksDisabled.Should().BeTrue();
        }

        _ram.Read<uint>(writable).Should().Be(0x04030201);
        driver.TryTakeUsed(out _, out uint length).Should().BeTrue();
        length.Should().Be(4);

        (ulong iova, ulong address) = area == "descriptor ring" ? (0x10000UL, driver.Descriptors) : (0x30000UL, driver.Device);
        strict.Map(iova, address, read: true, write: false);
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain(area, "what an IOMMU takes away counts at once");
    }

    [Theory]
    [BothForms]
    [Trait("Behaviour", "VTP-17")]
    public void An_indirect_table_on_two_pages_that_the_device_may_only_read_is_read(RingForm form)
    {
        var driver = RingDriver.Create(form, _ram, 8, RingFeatures.IndirectDescriptors);
        ulong data = _ram.Place([1, 2, 3, 4]);
        ulong first = _ram.Allocate(4096, 4096);
        _ram.Allocate(4096, 4096);
        ulong second = _ram.Allocate(4096, 4096);
        var strict = new PageTranslator();
        for (ulong page = 0; page < first; page += 4096)
        {
            strict.Map(page, page, read: true, write: true);
        }

        strict.Map(LastPage - 4096, first, read: true, write: false);
        strict.Map(LastPage, second, read: true, write: false);
        driver.AddIndirectAt(first + 4096 - 16, Readable(data, 1), Readable(data + 1, 3));
        _ram.Write(second, _ram.Read(first + 4096, 16));
        _ram.Write(driver.Descriptors, LastPage - 16);
        driver.Publish();
        _ram.Dma.Translator = strict;
        Virtqueue queue = Create(driver.Configuration);
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue(queue.BrokenReason);
            byte[] bytes = new byte[4];
            _chain.Readable.CopyTo(bytes).Should().Be(4);
            bytes.Should().Equal(1, 2, 3, 4);
        }
    }

    [Theory]
    [BothForms("last byte", "none")]
    [BothForms("last table", "none")]
    [BothForms("buffer", "a buffer wraps")]
    [BothForms("table", "an indirect table is not in RAM")]
    [Trait("Behaviour", "VQ-3")]
    [Trait("Behaviour", "VTP-17")]
    public void Nothing_wraps_around_the_end_of_the_address_space(RingForm form, string what, string reason)
    {
        // Behind an IOMMU the last page and page 0 can both be memory.
        ulong data = _ram.Allocate(8192, 4096);
        var driver = RingDriver.Create(form, _ram, 8, RingFeatures.IndirectDescriptors);
        var translator = new PageTranslator();
        translator.Map(LastPage, data, read: true, write: true);
        translator.Map(0, data + 4096, read: true, write: true);
        for (ulong page = driver.Descriptors & ~4095UL; page <= driver.Device + 4096; page += 4096)
        {
            translator.Map(page, page, read: true, write: true);
        }

        _ram.Dma.Translator = translator;
        BareRing.TryCreate(driver.Configuration with { Descriptors = LastPage + (4096 - 64) }, _ram.Dma, _interrupt, out _, out string? refused)
            .Should().BeFalse();
        refused.Should().Contain(DescriptorArea(form));
        Virtqueue queue = Create(driver.Configuration);
        if (what == "table")
        {
            driver.AddIndirectAt(data + 4096 - 16, Readable(LastPage, 1), Readable(LastPage, 1));
            _ram.Write(driver.Descriptors, LastPage + (4096 - 16));
        }
        else if (what == "last table")
        {
            driver.AddIndirectAt(data + 4096 - 16, Readable(LastPage, 1));
            _ram.Write(driver.Descriptors, LastPage + (4096 - 16));
        }
        else
        {
            driver.Add(Readable(LastPage, what == "buffer" ? 4097u : 4096u));
        }

        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().Be(reason == "none", queue.BrokenReason);
        }

        (queue.BrokenReason ?? "none").Should().Contain(reason);
    }

    private static string DescriptorArea(RingForm form) => form == RingForm.Packed ? "descriptor ring" : "descriptor table";

    private Virtqueue Create(VirtqueueConfiguration configuration)
    {
        BareRing.TryCreate(configuration, _ram.Dma, _interrupt, out Virtqueue? queue, out string? reason).Should().BeTrue(reason);
        return queue!;
    }
}
