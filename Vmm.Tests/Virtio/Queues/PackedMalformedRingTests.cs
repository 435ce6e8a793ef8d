using System;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Tests.Fakes.PackedGuestDriver;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>Everything that a hostile driver can put into a packed ring: the ring latches as broken, and stays so.</summary>
public sealed class PackedMalformedRingTests : IDisposable
{
    private const ushort Size = 6;
    private readonly GuestRam _ram = new((0, 1 << 20), (1 << 20, 1 << 20));
    private readonly CountingVector _interrupt = new();
    private readonly DescriptorChain _chain = new(1);
    private readonly PackedGuestDriver _driver;
    private readonly ulong _data;

    public PackedMalformedRingTests()
    {
        _driver = new PackedGuestDriver(_ram, Size, RingFeatures.IndirectDescriptors);
        _data = _ram.Allocate(4096);
    }

    public void Dispose()
    {
        _ram.Dispose();
        _interrupt.Dispose();
    }

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_chain_that_goes_around_the_ring() => Breaks("loops", d =>
    {
        for (uint i = 0; i < Size; i++)
        {
            d.SetDescriptor(i, _data, 4, Next | Available);
        }
    });

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_chain_that_continues_in_a_descriptor_that_is_not_available() =>
        Breaks("not available", d => d.SetDescriptor(0, _data, 4, Next | Available));

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_chain_that_continues_in_a_descriptor_of_the_last_lap() => Breaks("not available", d =>
    {
        d.SetDescriptor(0, _data, 4, Next | Available);
        d.SetDescriptor(1, _data, 4, Used);
    });

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void Descriptors_that_are_available_anew_before_they_were_used()
    {
        Virtqueue queue = Create(_driver);
        for (uint i = 0; i < Size; i++)
        {
            _driver.SetDescriptor(i, _data, 4, Available);
        }

        using (queue.Enter())
        {
            for (int i = 0; i < Size; i++)
            {
                queue.TryPop(_chain).Should().BeTrue();
            }

            queue.TryPop(_chain).Should().BeFalse();
            queue.IsBroken.Should().BeFalse();
            _driver.SetDescriptor(0, _data, 4, Used);
            queue.TryPop(_chain).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain("more descriptors are available");
    }

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void Nested_indirect_tables() => Breaks("inside an indirect table", d =>
    {
        d.SetDescriptorAt(_data, _data + 64, 16, Indirect);
        d.SetDescriptor(0, _data, 16, Indirect | Available);
    });

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void Indirect_with_next() => Breaks("with NEXT", d =>
    {
        d.SetDescriptor(0, _data, 16, Indirect | Next | Available);
        d.SetDescriptor(1, _data, 4, Available);
    });

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void Indirect_at_the_end_of_a_chain() => Breaks("with NEXT", d =>
    {
        d.SetDescriptor(0, _data, 16, Next | Available);
        d.SetDescriptor(1, _data, 16, Indirect | Available);
    });

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [InlineData(0, "multiple of 16")]
    [InlineData(15, "multiple of 16")]
    [InlineData(17, "multiple of 16")]
    [InlineData(16 * 1025, "too long")]
    [InlineData(0xfffffff0, "too long")]
    public void A_bad_length_of_an_indirect_table(uint length, string reason) =>
        Breaks(reason, d => d.SetDescriptor(0, _data, length, Indirect | Available));

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void An_indirect_table_that_was_not_negotiated() => Breaks(
        "without VIRTIO_F_INDIRECT_DESC", d => d.SetDescriptor(0, _data, 16, Indirect | Available), new PackedGuestDriver(_ram, Size));

    [Theory]
    [Trait("Behaviour", "VQ-2")]
    [Trait("Behaviour", "VQ-3")]
    [InlineData(0x200000)]
    [InlineData(0x1ffff8)]
    [InlineData(0xfffffffffffffff0)]
    public void An_indirect_table_that_is_not_ram(ulong address) =>
        Breaks("not in RAM", d => d.SetDescriptor(0, address, 32, Indirect | Available));

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_readable_buffer_after_a_writable_one() => Breaks("follows a writable", d =>
    {
        d.SetDescriptor(0, _data, 4, Write | Next | Available);
        d.SetDescriptor(1, _data, 4, Available);
    });

    [Fact]
    [Trait("Behaviour", "VQ-2")]
    public void A_chain_of_more_than_4_gib() => Breaks("4 GiB", d =>
    {
        d.SetDescriptor(0, _data, 0x1000, Next | Available);
        d.SetDescriptor(1, _data, 0xffff_f001, Available);
    });

    [Theory]
    [Trait("Behaviour", "VQ-3")]
    [InlineData(0x200000, 1)]
    [InlineData(0x1fffff, 2)]
    [InlineData(0x100000, 0x100001)]
    [InlineData(0xffffffffffffffff, 1)]
    [InlineData(0xfffffffffffff000, 0x2000)]
    [InlineData(0, 0xffffffff)]
    public void A_buffer_that_is_not_ram(ulong address, uint length) =>
        Breaks("not in RAM", d => d.SetDescriptor(0, address, length, Write | Available));

    [Theory]
    [Trait("Behaviour", "MEM-4")]
    [InlineData("device event suppression")]
    [InlineData("driver event suppression")]
    [InlineData("descriptor ring")]
    public void Ring_memory_that_is_taken_away(string area)
    {
        using var ram = new GuestRam();
        Vmm.DeviceModel.Memory.GuestMemoryRegion extra = ram.AddRegion(1UL << 32, 1 << 20);
        var driver = new PackedGuestDriver(ram, Size);
        driver.Add(GuestBuffer.Writable(_data, 4));
        driver.Publish();
        ram.Write(1UL << 32, ram.Read(driver.Descriptors, 16));
        VirtqueueConfiguration configuration = area switch
        {
            "descriptor ring" => driver.Configuration with { Descriptors = 1UL << 32 },
            "driver event suppression" => driver.Configuration with { Driver = 0x1_0000_8000 },
            _ => driver.Configuration with { Device = 0x1_0000_8000 },
        };
        Virtqueue.TryCreate(configuration, ram.Dma, _interrupt, out Virtqueue? queue, out _).Should().BeTrue();
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

        queue.BrokenReason.Should().Contain(area);
    }

    private Virtqueue Create(PackedGuestDriver driver)
    {
        Virtqueue.TryCreate(driver.Configuration, _ram.Dma, _interrupt, out Virtqueue? queue, out string? refused).Should().BeTrue(refused);
        return queue!;
    }

    private void Breaks(string reason, Action<PackedGuestDriver> arrange, PackedGuestDriver? driver = null)
    {
        driver ??= _driver;
        Virtqueue queue = Create(driver);
        arrange(driver);
        for (int i = 0; i < 3; i++)
        {
            using (queue.Enter())
            {
                queue.TryPop(_chain).Should().BeFalse();
                queue.EnableKicks().Should().BeFalse("a broken ring never asks to be looked at again");
            }
        }

        queue.IsBroken.Should().BeTrue();
        queue.BrokenReason.Should().Contain(reason);
        driver.HasUsed.Should().BeFalse();

        // What the driver mends afterwards does not count: only a reset helps.
        driver.SetDescriptor(0, _data, 4, Available);
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeFalse();
        }
    }
}
