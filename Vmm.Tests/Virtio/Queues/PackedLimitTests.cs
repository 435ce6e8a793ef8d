using System;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Tests.Fakes.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>How long a chain of a packed ring may be, and how full the ring.</summary>
[Trait("Behaviour", "VQ-2")]
public sealed class PackedLimitTests : IDisposable
{
    private const ulong Gib = 1UL << 30;
    private readonly CountingVector _interrupt = new();

    public void Dispose() => _interrupt.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_chain_of_all_descriptors_that_grows_keeps_what_it_holds(bool indirect)
    {
        using var ram = new GuestRam((0, 1 << 20), (1 << 20, 1 << 20));
        var driver = new PackedGuestDriver(ram, 48, RingFeatures.IndirectDescriptors);
        Virtqueue queue = Create(driver);
        ulong data = (1 << 20) - 64;
        ram.Write(data, [.. Enumerable.Range(0, 128).Select(i => (byte)i)]);
        GuestBuffer[] buffers = [.. Enumerable.Range(0, 48).Select(i => i % 8 == 7 ? Readable(data + 63, 2) : Readable(data + (ulong)i, 1))];
        _ = indirect ? driver.AddIndirectAt(ram.Allocate(48 * 16), buffers) : driver.Add(buffers);
        driver.Publish();
        var chain = new DescriptorChain(1);
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeTrue(queue.BrokenReason);
            byte[] read = new byte[60];
            chain.Readable.CopyTo(read).Should().Be(54);
            read.Take(54).Should().Equal(Enumerable.Range(0, 48).SelectMany(i => i % 8 == 7 ? new byte[] { 63, 64 } : [(byte)i]));
            (chain.Readable.Count, chain.Writable.Count, chain.WritableLength).Should().Be((54, 0, 0));
        }
    }

    [Theory]
    [InlineData(5, 1024)]
    [InlineData(2000, 2000)]
    public void An_indirect_table_has_as_many_entries_as_the_ring_or_1024(int size, int limit)
    {
        using var ram = new GuestRam();
        foreach (int entries in new[] { limit, limit + 1 })
        {
            var driver = new PackedGuestDriver(ram, (ushort)size, RingFeatures.IndirectDescriptors);
            Virtqueue queue = Create(driver);
            driver.AddIndirectAt(ram.Allocate(16 * (ulong)entries), [.. Enumerable.Repeat(Writable(0x1000, 1), entries)]);
            driver.Publish();
            var chain = new DescriptorChain();
            using (queue.Enter())
            {
                queue.TryPop(chain).Should().Be(entries == limit, queue.BrokenReason);
            }

            (queue.BrokenReason ?? "none").Should().Contain(entries == limit ? "none" : "too long");
        }
    }

    [Fact]
    public void A_chain_of_more_than_65536_pieces_breaks_the_ring()
    {
        const int Size = 32768;
        ulong border = 1 << 20;
        using var ram = new GuestRam((0, border), (border, 4096), (border + 4096, 4096));
        var driver = new PackedGuestDriver(ram, Size);
        driver.Add([.. Enumerable.Repeat(Readable(border - 1, 2), Size)]);
        driver.Publish();
        var chain = new DescriptorChain(40_000);
        Virtqueue queue = Create(driver);
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeTrue(queue.BrokenReason);
            (chain.Readable.Count, chain.ReadableLength).Should().Be((65536, 65536));
        }

        ram.Write(driver.PlaceOf(Size - 1) + 8, 4098u);
        queue = Create(driver);
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain("too many pieces");
    }

    [Fact]
    public void A_chain_of_4_GiB_is_taken_and_one_byte_more_breaks_the_ring()
    {
        using var ram = new GuestRam((0, 1 << 20), (4 * Gib, Gib + 4096));
        foreach (uint last in new[] { (uint)Gib, (uint)Gib + 1 })
        {
            var driver = new PackedGuestDriver(ram, 8);
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
        var driver = new PackedGuestDriver(ram, 5);
        Virtqueue queue = Create(driver);
        ushort first = driver.Add(Writable(0x1000, 4));
        driver.Publish();
        driver.SetDescriptor(1, 0x1000, 4, PackedGuestDriver.Indirect | PackedGuestDriver.Available);
        var chain = new DescriptorChain();
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeTrue();
            queue.TryPop(new DescriptorChain()).Should().BeFalse();
            VirtqueueState state = queue.Save();
            queue.Return(chain);
            queue.Save().Should().Be(state);
            queue.TryPop(new DescriptorChain()).Should().BeFalse();
            queue.Complete(chain, 4);
        }

        driver.TryTakeUsed(out ushort id, out uint length).Should().BeTrue();
        (id, length).Should().Be((first, 4u));
    }

    [Theory]
    [Trait("Behaviour", "VQ-6")]
    [InlineData(0x8000, 0x8000, 5)] // nothing is taken
    [InlineData(0x8003, 0x8003, 5)]
    [InlineData(0x0000, 0x8000, 0)] // everything is
    [InlineData(0x0003, 0x8003, 0)]
    [InlineData(0x8003, 0x0003, 0)]
    [InlineData(0x8004, 0x8001, 2)]
    [InlineData(0x0002, 0x8003, 1)]
    [InlineData(0x8002, 0x0004, 2)]
    public void A_restored_ring_knows_how_many_descriptors_are_taken(int available, int used, int free)
    {
        using var ram = new GuestRam();
        var driver = new PackedGuestDriver(ram, 5);
        var state = new VirtqueueState { AvailableIndex = (ushort)available, UsedIndex = (ushort)used };
        Virtqueue.TryCreate(driver.Configuration with { State = state }, ram.Dma, _interrupt, out Virtqueue? queue, out string? reason).Should().BeTrue(reason);
        var chain = new DescriptorChain();
        uint place = (uint)available & 0x7fff;
        bool wrap = available >= 0x8000;
        for (int i = 0; i <= free; i++)
        {
            driver.SetDescriptor(place, 0x1000, 4, wrap ? PackedGuestDriver.Available : PackedGuestDriver.Used);
            using (queue!.Enter())
            {
                queue.TryPop(chain).Should().Be(i < free, $"{i} of {free}");
            }

            place = (place + 1) % 5;
            wrap ^= place == 0;
        }

        queue!.BrokenReason.Should().Contain("more descriptors are available");
    }

    private Virtqueue Create(PackedGuestDriver driver)
    {
        Virtqueue.TryCreate(driver.Configuration, driver.Ram.Dma, _interrupt, out Virtqueue? queue, out string? reason).Should().BeTrue(reason);
        return queue!;
    }
}
