using System;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>Everything that a hostile driver can put into a split ring: the ring latches as broken, and stays so.</summary>
public sealed class MalformedRingTests : IDisposable
{
    private const ushort Size = 8;
    private readonly GuestRam _ram = new((0, 1 << 20), (1 << 20, 1 << 20));
    private readonly CountingVector _interrupt = new();
    private readonly DescriptorChain _chain = new(1);
    private readonly GuestDriver _driver;
    private readonly ulong _data;

    public MalformedRingTests()
    {
        _driver = new GuestDriver(_ram, Size, RingFeatures.IndirectDescriptors);
        _data = _ram.Allocate(4096);
    }

    public void Dispose()
    {
        _ram.Dispose();
        _interrupt.Dispose();
    }

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_chain_that_loops() => Breaks("loops", d =>
    {
        d.SetDescriptor(0, _data, 4, GuestDriver.Next, 1);
        d.SetDescriptor(1, _data, 4, GuestDriver.Next, 0);
    });

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_chain_that_is_its_own_successor() => Breaks("loops", d => d.SetDescriptor(0, _data, 4, GuestDriver.Next, 0));

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_head_outside_the_table() => Breaks("outside the table", d => d.Ram.Write(d.Driver + 4, Size));

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_next_outside_the_table() => Breaks("leaves its descriptor table", d => d.SetDescriptor(0, _data, 4, GuestDriver.Next, Size));

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_next_outside_the_indirect_table() => Breaks("leaves its descriptor table", d =>
    {
        d.SetDescriptorAt(_data, _data + 64, 4, GuestDriver.Next, 2);
        d.SetDescriptorAt(_data + 32, _data + 64, 4, 0);
        d.SetDescriptor(0, _data, 32, GuestDriver.Indirect);
    });

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void An_indirect_table_that_loops() => Breaks("loops", d =>
    {
        d.SetDescriptorAt(_data, _data + 64, 4, GuestDriver.Next, 1);
        d.SetDescriptorAt(_data + 16, _data + 64, 4, GuestDriver.Next, 0);
        d.SetDescriptor(0, _data, 32, GuestDriver.Indirect);
    });

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void Nested_indirect_tables() => Breaks("inside an indirect table", d =>
    {
        d.SetDescriptorAt(_data, _data + 64, 16, GuestDriver.Indirect);
        d.SetDescriptor(0, _data, 16, GuestDriver.Indirect);
    });

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void The_ring_s_own_table_as_an_indirect_one() =>
        Breaks("inside an indirect table", d => d.SetDescriptor(0, d.Descriptors, 16 * Size, GuestDriver.Indirect));

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void Indirect_with_next() => Breaks("with NEXT", d =>
    {
        d.SetDescriptor(0, _data, 16, GuestDriver.Indirect | GuestDriver.Next, 1);
        d.SetDescriptor(1, _data, 4, 0);
    });

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [InlineData(0, "multiple of 16")]
    [InlineData(15, "multiple of 16")]
    [InlineData(17, "multiple of 16")]
    [InlineData(16 * 1025, "too long")]
    [InlineData(0xfffffff0, "too long")]
    public void A_bad_length_of_an_indirect_table(uint length, string reason) =>
        Breaks(reason, d => d.SetDescriptor(0, _data, length, GuestDriver.Indirect));

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void An_indirect_table_that_was_not_negotiated()
    {
        var driver = new GuestDriver(_ram, Size);
        Breaks("without VIRTIO_F_INDIRECT_DESC", d => d.SetDescriptor(0, _data, 16, GuestDriver.Indirect), driver);
    }

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [Trait("Behaviour", "VQ-3")]
    [InlineData(0x200000)]
    [InlineData(0x1ffff8)]
    [InlineData(0xfffffffffffffff0)]
    public void An_indirect_table_that_is_not_ram(ulong address) =>
        Breaks("not in RAM", d => d.SetDescriptor(0, address, 32, GuestDriver.Indirect));

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_readable_buffer_after_a_writable_one() => Breaks("follows a writable", d =>
    {
        d.SetDescriptor(0, _data, 4, GuestDriver.Write | GuestDriver.Next, 1);
        d.SetDescriptor(1, _data, 4, 0);
    });

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [InlineData(9)]
    [InlineData(0x8000)]
    [InlineData(0xffff)]
    public void An_available_index_that_jumps(ushort index)
    {
        _driver.AvailableIndex = index;
        Breaks("jumps", d => { });
    }

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_chain_of_more_than_4_gib() => Breaks("4 GiB", d =>
    {
        d.SetDescriptor(0, _data, 0x1000, GuestDriver.Next, 1);
        d.SetDescriptor(1, _data, 0xffff_f001, 0);
    });

    [Theory]
    [Trait("Behaviour", "VQ-3")]
    [InlineData(0x200000, 1)]
    [InlineData(0x1fffff, 2)]
    [InlineData(0x100000, 0x100001)]
    [InlineData(0xffffffffffffffff, 1)]
    [InlineData(0xffffffffffffffff, 2)]
    [InlineData(0xfffffffffffff000, 0x2000)]
    [InlineData(0, 0xffffffff)]
    public void A_buffer_that_is_not_ram(ulong address, uint length) =>
        Breaks("not in RAM", d => d.SetDescriptor(0, address, length, GuestDriver.Write));

    [Fact]
    [Trait("Behaviour", "MEM-4")]
    public void Ring_memory_that_is_taken_away()
    {
        using var ram = new GuestRam();
        Vmm.DeviceModel.Memory.GuestMemoryRegion extra = ram.AddRegion(1UL << 32, 1 << 20);
        var driver = new GuestDriver(ram, Size);
        Virtqueue.TryCreate(driver.Configuration with { Device = 1UL << 32 }, ram.Dma, _interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        driver.Add(GuestBuffer.Writable(_data, 4));
        driver.Add(GuestBuffer.Writable(_data, 4));
        driver.Publish();
        using (queue!.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
        }

        ram.RemoveRegion(extra);
        using (queue.Enter())
        {
            queue.Complete(_chain, 4);
            queue.CompleteTogether([_chain], [4]);
            queue.NeedsInterrupt().Should().BeFalse();
            queue.DisableKicks();
            queue.EnableKicks().Should().BeFalse();
            queue.TryPop(_chain).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain("used ring");
    }

    private void Breaks(string reason, Action<GuestDriver> arrange, GuestDriver? driver = null)
    {
        driver ??= _driver;
        Virtqueue.TryCreate(driver.Configuration, _ram.Dma, _interrupt, out Virtqueue? queue, out string? refused).Should().BeTrue(refused);
        if (driver.AvailableIndex == 0)
        {
            driver.AddHead(0);
        }

        arrange(driver);
        driver.Publish();
        for (int i = 0; i < 3; i++)
        {
            using (queue!.Enter())
            {
                queue.TryPop(_chain).Should().BeFalse();
                queue.EnableKicks().Should().BeFalse("a broken ring never asks to be looked at again");
            }
        }

        queue!.IsBroken.Should().BeTrue();
        queue.BrokenReason.Should().Contain(reason);
        driver.UsedIndex.Should().Be(0);

        // What the driver mends afterwards does not count: only a reset helps.
        driver.SetDescriptor(0, _data, 4, 0);
        driver.Ram.Write(driver.Driver + 4, (ushort)0);
        driver.AvailableIndex = 1;
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeFalse();
        }
    }
}
