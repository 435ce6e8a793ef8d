using System;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;
using static Vmm.Testing.Rings.RingDriver;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>What a hostile driver can put into a ring of either form: the ring latches as broken, and stays so.</summary>
public sealed class MalformedRingTests : IDisposable
{
    private const ulong High = 1UL << 32;

    private readonly GuestRam _ram = new((0, 1 << 20), (1 << 20, 1 << 20));
    private readonly CountingVector _interrupt = new();
    private readonly DescriptorChain _chain = new(1);
    private readonly ulong _data;

    public MalformedRingTests()
    {
        _data = _ram.Allocate(4096);
    }

    public void Dispose()
    {
        _ram.Dispose();
        _interrupt.Dispose();
    }

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [BothForms]
    public void Nested_indirect_tables(RingForm form)
    {
        RingDriver driver = Create(form);
        driver.SetDescriptorAt(_data, _data + 64, 16, Indirect);
        driver.SetChain(new RawDescriptor(_data, 16, Indirect));
        BrokenRing.Expect(driver, "inside an indirect table");
    }

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [BothForms]
    public void The_ring_s_own_table_as_an_indirect_one(RingForm form)
    {
        RingDriver driver = Create(form);
        driver.SetChain(new RawDescriptor(driver.Descriptors, 16u * driver.Size, Indirect));
        BrokenRing.Expect(driver, "inside an indirect table");
    }

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [BothForms]
    public void Indirect_with_next(RingForm form) => Breaks(form, "with NEXT", new(_data, 16, Indirect | Next), new(_data, 4));

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [BothForms(0, "multiple of 16")]
    [BothForms(15, "multiple of 16")]
    [BothForms(17, "multiple of 16")]
    [BothForms(16 * 1025, "too long")]
    [BothForms(0xfffffff0, "too long")]
    public void A_bad_length_of_an_indirect_table(RingForm form, uint length, string reason) =>
        Breaks(form, reason, new RawDescriptor(_data, length, Indirect));

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [BothForms]
    public void An_indirect_table_that_was_not_negotiated(RingForm form)
    {
        RingDriver driver = Create(form, 0);
        driver.SetChain(new RawDescriptor(_data, 16, Indirect));
        BrokenRing.Expect(driver, "without VIRTIO_F_INDIRECT_DESC");
    }

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [Trait("Behaviour", "VQ-3")]
    [BothForms(0x200000)]
    [BothForms(0x1ffff8)]
    [BothForms(0xfffffffffffffff0)]
    public void An_indirect_table_that_is_not_ram(RingForm form, ulong address) =>
        Breaks(form, "not in RAM", new RawDescriptor(address, 32, Indirect));

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [BothForms]
    public void A_readable_buffer_after_a_writable_one(RingForm form) =>
        Breaks(form, "follows a writable", new(_data, 4, Write | Next), new(_data, 4));

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [BothForms]
    public void A_chain_of_more_than_4_gib(RingForm form) =>
        Breaks(form, "4 GiB", new(_data, 0x1000, Next), new(_data, 0xffff_f001));

    [Theory]
    [Trait("Behaviour", "VQ-3")]
    [BothForms(0x200000, 1)]
    [BothForms(0x1fffff, 2)]
    [BothForms(0x100000, 0x100001)]
    [BothForms(0xffffffffffffffff, 1)]
    [BothForms(0xffffffffffffffff, 2)]
    [BothForms(0xfffffffffffff000, 0x2000)]
    [BothForms(0, 0xffffffff)]
    public void A_buffer_that_is_not_ram(RingForm form, ulong address, uint length) =>
        Breaks(form, "not in RAM", new RawDescriptor(address, length, Write));

    [Theory]
    [Trait("Behaviour", "MEM-4")]
    [InlineData(RingForm.Split, 0, "descriptor table")]
    [InlineData(RingForm.Split, 1, "available ring")]
    [InlineData(RingForm.Split, 2, "used ring")]
    [InlineData(RingForm.Packed, 0, "descriptor ring")]
    [InlineData(RingForm.Packed, 1, "driver event suppression")]
    [InlineData(RingForm.Packed, 2, "device event suppression")]
    public void Ring_memory_that_is_taken_away(RingForm form, int area, string name)
    {
        GuestMemoryRegion extra = _ram.AddRegion(High, 1 << 20);
        RingDriver driver = Create(form);
        driver.Add(Writable(_data, 4));
        driver.Add(Writable(_data, 4));
        driver.Publish();

        // The device finds one of the areas in the region that goes, with all that is in it.
        ulong[] areas = [driver.Descriptors, driver.Driver, driver.Device];
        _ram.Write(High, _ram.Read(areas[area], 16 * driver.Size));
        areas[area] = High;
        VirtqueueConfiguration configuration = driver.Configuration with { Descriptors = areas[0], Driver = areas[1], Device = areas[2] };
        BareRing.TryCreate(configuration, _ram.Dma, _interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        using (queue!.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
        }

        _ram.RemoveRegion(extra);
        using (queue.Enter())
        {
            queue.Complete(_chain, 4);
            queue.CompleteTogether([_chain], [4]);
            queue.NeedsInterrupt().Should().BeFalse();
            queue.DisableKicks();
            queue.EnableKicksAndCheckForMore().Should().BeFalse();
            queue.TryPop(_chain).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain(name);
    }

    // The size of a packed ring need not be a power of two.
    private RingDriver Create(RingForm form, ulong features = RingFeatures.IndirectDescriptors) =>
        RingDriver.Create(form, _ram, form == RingForm.Packed ? 6 : 8, features);

    private void Breaks(RingForm form, string reason, params ReadOnlySpan<RawDescriptor> descriptors)
    {
        RingDriver driver = Create(form);
        driver.SetChain(descriptors);
        BrokenRing.Expect(driver, reason);
    }
}
