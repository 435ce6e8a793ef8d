using System;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Tests.Fakes.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>How long a chain of a split ring may be: in descriptors, in pieces and in bytes.</summary>
[Trait("Behaviour", "VQ-2")]
public sealed class ChainLimitTests : IDisposable
{
    private const ulong Gib = 1UL << 30;
    private readonly CountingVector _interrupt = new();

    public void Dispose() => _interrupt.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(65537)]
    public void A_chain_starts_with_room_for_1_to_65536_pieces(int capacity)
    {
        FluentActions.Invoking(() => new DescriptorChain(capacity)).Should().Throw<ArgumentOutOfRangeException>();
        new DescriptorChain(1).Capacity.Should().Be(1);
        new DescriptorChain(65536).Capacity.Should().Be(65536);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_chain_that_grows_keeps_what_it_holds(bool indirect)
    {
        using var ram = new GuestRam((0, 1 << 20), (1 << 20, 1 << 20));
        var driver = new GuestDriver(ram, 64, RingFeatures.IndirectDescriptors);
        Virtqueue queue = Create(driver);
        ulong data = (1 << 20) - 64;
        byte[] bytes = [.. Enumerable.Range(0, 128).Select(i => (byte)i)];
        ram.Write(data, bytes);

        // All 64 descriptors of the ring, each another place, every eighth across the border of the regions.
        GuestBuffer[] buffers = [.. Enumerable.Range(0, 64).Select(i => i % 8 == 7 ? Readable(data + 63, 2) : Readable(data + (ulong)i, 1))];
        _ = indirect ? driver.AddIndirect(buffers) : driver.Add(buffers);
        driver.Publish();
        var chain = new DescriptorChain(1);
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeTrue(queue.BrokenReason);
            byte[] read = new byte[80];
            chain.Readable.CopyTo(read).Should().Be(72);
            read.Take(72).Should().Equal(Enumerable.Range(0, 64).SelectMany(i => i % 8 == 7 ? new byte[] { 63, 64 } : [(byte)i]));
            (chain.Readable.Count, chain.Writable.Count, chain.WritableLength).Should().Be((72, 0, 0));
        }
    }

    [Theory]
    [InlineData(8, 1024)]
    [InlineData(2048, 2048)]
    public void An_indirect_table_has_as_many_entries_as_the_ring_or_1024(int size, int limit)
    {
        using var ram = new GuestRam();
        foreach (int entries in new[] { limit, limit + 1 })
        {
            var driver = new GuestDriver(ram, (ushort)size, RingFeatures.IndirectDescriptors);
            Virtqueue queue = Create(driver);
            driver.AddIndirect([.. Enumerable.Repeat(Readable(0x1000, 1), entries)]);
            driver.Publish();
            var chain = new DescriptorChain();
            using (queue.Enter())
            {
                queue.TryPop(chain).Should().Be(entries == limit, queue.BrokenReason);
            }

            (queue.BrokenReason ?? "none").Should().Contain(entries == limit ? "none" : "too long");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(40_000)]
    public void A_chain_of_more_than_65536_pieces_breaks_the_ring(int capacity)
    {
        const int Size = 32768;
        ulong border = 1 << 20;
        using var ram = new GuestRam((0, border), (border, 4096), (border + 4096, 4096));
        var driver = new GuestDriver(ram, Size);
        driver.Add([.. Enumerable.Repeat(Readable(border - 1, 2), Size)]);
        driver.Publish();
        var chain = new DescriptorChain(capacity);
        Virtqueue queue = Create(driver);
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeTrue(queue.BrokenReason);
            (chain.Readable.Count, chain.ReadableLength).Should().Be((65536, 65536));
        }

        driver.SetDescriptor(Size - 1, border - 1, 4098, 0);
        queue = Create(driver);
        using (queue.Enter())
        {
            queue.TryPop(new DescriptorChain(capacity)).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain("too many pieces");
    }

    [Fact]
    public void A_chain_of_4_GiB_is_taken_and_one_byte_more_breaks_the_ring()
    {
        using var ram = new GuestRam((0, 1 << 20), (4 * Gib, Gib + 4096));
        foreach (uint last in new[] { (uint)Gib, (uint)Gib + 1 })
        {
            var driver = new GuestDriver(ram, 8);
            Virtqueue queue = Create(driver);
            driver.Add(Readable(4 * Gib, (uint)Gib), Writable(4 * Gib, (uint)Gib), Writable(4 * Gib, (uint)Gib), Writable(4 * Gib, last));
            driver.Publish();
            var chain = new DescriptorChain(2);
            using (queue.Enter())
            {
                queue.TryPop(chain).Should().Be(last == Gib);
            }

            if (last == Gib)
            {
                (chain.ReadableLength, chain.WritableLength).Should().Be(((long)Gib, 3 * (long)Gib));
                (chain.Readable.Count, chain.Writable.Count).Should().Be((1, 3));
            }
            else
            {
                queue.BrokenReason.Should().Contain("4 GiB");
            }
        }
    }

    [Fact]
    public void A_chain_given_back_to_a_ring_that_broke_meanwhile_does_not_come_again_and_may_complete()
    {
        using var ram = new GuestRam();
        var driver = new GuestDriver(ram, 8);
        Virtqueue queue = Create(driver);
        ushort first = driver.Add(Writable(0x1000, 4));
        driver.AddHead(8);
        driver.Publish();
        var chain = new DescriptorChain();
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeTrue();
            queue.TryPop(new DescriptorChain()).Should().BeFalse();
            queue.IsBroken.Should().BeTrue();
            queue.Return(chain);
            queue.TryPop(new DescriptorChain()).Should().BeFalse();
            queue.Complete(chain, 4);
        }

        driver.TryTakeUsed(out uint id, out uint length).Should().BeTrue();
        (id, length).Should().Be((first, 4u));
        queue.MarkBroken("something else");
        queue.BrokenReason.Should().Contain("outside the table", "the first reason stays");
        queue.Invoking(q => q.MarkBroken(string.Empty)).Should().Throw<ArgumentException>();
    }

    private Virtqueue Create(GuestDriver driver)
    {
        Virtqueue.TryCreate(driver.Configuration, driver.Ram.Dma, _interrupt, out Virtqueue? queue, out string? reason).Should().BeTrue(reason);
        return queue!;
    }
}
