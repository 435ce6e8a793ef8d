using System;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Tests.Fakes.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>A packed ring in memory that goes, and through an IOMMU that is strict.</summary>
public sealed class PackedPlacementTests : IDisposable
{
    private readonly GuestRam _ram = new();
    private readonly CountingVector _interrupt = new();
    private readonly DescriptorChain _chain = new();

    public void Dispose()
    {
        _ram.Dispose();
        _interrupt.Dispose();
    }

    [Fact]
    [Trait("Behaviour", "MEM-4")]
    public void Buffers_in_memory_that_is_taken_away_break_the_ring()
    {
        GuestMemoryRegion extra = _ram.AddRegion(1UL << 32, 1 << 20);
        var driver = new PackedGuestDriver(_ram, 5);
        Virtqueue queue = Create(driver.Configuration);
        driver.Add(Writable(1UL << 32, 64));
        driver.Publish();
        driver.Add(Writable((1UL << 32) + 64, 64));
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
    [InlineData(false, "descriptor ring")]
    [InlineData(true, "device event suppression")]
    [Trait("Behaviour", "VTP-17")]
    public void Each_area_is_asked_for_as_it_is_used_reading_or_writing(bool indirect, string area)
    {
        var driver = new PackedGuestDriver(_ram, 5, RingFeatures.IndirectDescriptors);
        ulong readable = _ram.Allocate(4096, 4096);
        ulong writable = _ram.Allocate(4096, 4096);
        ulong table = _ram.Allocate(4096, 4096);
        var strict = new PageTranslator();
        strict.Map(0x10000, driver.Descriptors, read: true, write: true);
        strict.Map(0x20000, driver.Driver, read: true, write: false);
        strict.Map(0x30000, driver.Device, read: false, write: true);
        strict.Map(0x40000, readable, read: true, write: false);
        strict.Map(0x50000, writable, read: false, write: true);
        strict.Map(0x60000, table, read: true, write: false);
        _ram.Dma.Translator = strict;
        Virtqueue queue = Create(driver.Configuration with
        {
            Descriptors = 0x10000 + (driver.Descriptors % 4096),
            Driver = 0x20000 + (driver.Driver % 4096),
            Device = 0x30000 + (driver.Device % 4096),
        });
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
            byte[] bytes = new byte[4];
            _chain.Readable.CopyTo(bytes).Should().Be(4);
            _chain.Writable.CopyFrom(bytes).Should().Be(4);
            queue.Complete(_chain, 4);
            queue.DisableKicks();
            driver.DeviceEvent.Should().Be(1 << 16);
        }

        _ram.Read<uint>(writable).Should().Be(0x04030201);
        driver.TryTakeUsed(out _, out uint length).Should().BeTrue();
        length.Should().Be(4);

        strict.Map(area == "descriptor ring" ? 0x10000u : 0x30000, area == "descriptor ring" ? driver.Descriptors : driver.Device, read: true, write: false);
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain(area, "what an IOMMU takes away counts at once");
    }

    private Virtqueue Create(VirtqueueConfiguration configuration)
    {
        Virtqueue.TryCreate(configuration, _ram.Dma, _interrupt, out Virtqueue? queue, out string? reason).Should().BeTrue(reason);
        return queue!;
    }
}
