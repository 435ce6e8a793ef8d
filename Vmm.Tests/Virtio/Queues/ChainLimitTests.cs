using System;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>How long a chain may be: in descriptors, in pieces and in bytes.</summary>
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
    [InlineData(RingForm.Split, 64, false)]
    [InlineData(RingForm.Split, 64, true)]
    [InlineData(RingForm.Packed, 48, false)]
    [InlineData(RingForm.Packed, 48, true)]
    public void A_chain_of_all_descriptors_that_grows_keeps_what_it_holds(RingForm form, int size, bool indirect)
    {
        using var ram = new GuestRam((0, 1 << 20), (1 << 20, 1 << 20));
        var driver = RingDriver.Create(form, ram, size, RingFeatures.IndirectDescriptors);
        Virtqueue queue = Create(driver);
        ulong data = (1 << 20) - 64;
        byte[] bytes = [.. Enumerable.Range(0, 128).Select(i => (byte)i)];
        ram.Write(data, bytes);

        // Each descriptor another place, every eighth across the border of the regions.
        GuestBuffer[] buffers = [.. Enumerable.Range(0, size).Select(i => i % 8 == 7 ? Readable(data + 63, 2) : Readable(data + (ulong)i, 1))];
        int total = size + (size / 8);
        _ = indirect ? driver.AddIndirect(buffers) : driver.Add(buffers);
        driver.Publish();
        var chain = new DescriptorChain(1);
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeTrue(queue.BrokenReason);
            byte[] read = new byte[total + 8];
            chain.Readable.CopyTo(read).Should().Be(total);
            read.Take(total).Should().Equal(Enumerable.Range(0, size).SelectMany(i => i % 8 == 7 ? new byte[] { 63, 64 } : [(byte)i]));
            (chain.Readable.Count, chain.Writable.Count, chain.WritableLength).Should().Be((total, 0, 0));
        }
    }

    [Theory]
    [InlineData(RingForm.Split, 8, 1024)]
    [InlineData(RingForm.Split, 2048, 2048)]
    [InlineData(RingForm.Packed, 5, 1024)]
    [InlineData(RingForm.Packed, 2000, 2000)]
    public void An_indirect_table_has_as_many_entries_as_the_ring_or_1024(RingForm form, int size, int limit)
    {
        using var ram = new GuestRam();
        foreach (int entries in new[] { limit, limit + 1 })
        {
            var driver = RingDriver.Create(form, ram, size, RingFeatures.IndirectDescriptors);
            Virtqueue queue = Create(driver);
            driver.AddIndirect([Readable(0x1000, 1), .. Enumerable.Repeat(Writable(0x1000, 1), entries - 1)]);
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
    [BothForms(1)]
    [BothForms(40_000)]
    public void A_chain_of_more_than_65536_pieces_breaks_the_ring(RingForm form, int capacity)
    {
        const int Size = 32768;
        ulong border = 1 << 20;
        using var ram = new GuestRam((0, border), (border, 4096), (border + 4096, 4096));
        var driver = RingDriver.Create(form, ram, Size);
        driver.Add([.. Enumerable.Repeat(Readable(border - 1, 2), Size)]);
        driver.Publish();
        var chain = new DescriptorChain(capacity);
        Virtqueue queue = Create(driver);
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeTrue(queue.BrokenReason);
            (chain.Readable.Count, chain.ReadableLength).Should().Be((65536, 65536));
        }

        // The length of the last descriptor.
        ram.Write(driver.Descriptors + (16 * (Size - 1)) + 8, 4098u);
        queue = Create(driver);
        using (queue.Enter())
        {
            queue.TryPop(new DescriptorChain(capacity)).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain("too many pieces");
    }

    [Theory]
    [BothForms(4 * Gib)]
    [BothForms(6 * Gib)]
    public void A_chain_of_4_GiB_is_taken_and_one_byte_more_breaks_the_ring(RingForm form, ulong placeOfLast)
    {
        using var ram = new GuestRam((0, 1 << 20), (4 * Gib, Gib + 4096), (6 * Gib, Gib + 4096));
        foreach (uint last in new[] { (uint)Gib, (uint)Gib + 1 })
        {
            var driver = RingDriver.Create(form, ram, 8);
            Virtqueue queue = Create(driver);
            driver.Add(Readable(4 * Gib, (uint)Gib), Writable(4 * Gib, (uint)Gib), Writable(4 * Gib, (uint)Gib), Writable(placeOfLast, last));
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

    [Theory]
    [InlineData(RingForm.Split, 8, "outside the table")]
    [InlineData(RingForm.Split, 8, "without VIRTIO_F_INDIRECT_DESC")]
    [InlineData(RingForm.Packed, 5, "without VIRTIO_F_INDIRECT_DESC")]
    public void A_chain_given_back_to_a_ring_that_broke_meanwhile_does_not_come_again_and_may_complete(RingForm form, int size, string reason)
    {
        using var ram = new GuestRam();
        var driver = RingDriver.Create(form, ram, size);
        Virtqueue queue = Create(driver);
        ushort first = driver.Add(Writable(0x1000, 4));
        if (reason == "outside the table")
        {
            ((SplitRingDriver)driver).AddHead(8);
        }
        else
        {
            driver.AddIndirect(Writable(0x1000, 4));
        }

        driver.Publish();
        var chain = new DescriptorChain();
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeTrue();
            queue.TryPop(new DescriptorChain()).Should().BeFalse();
            queue.IsBroken.Should().BeTrue();
            VirtqueueState state = queue.Save();
            queue.UndoPop(chain);
            queue.Save().Should().Be(state);
            queue.TryPop(new DescriptorChain()).Should().BeFalse();
            queue.Complete(chain, 4);
        }

        driver.TryTakeUsed(out uint id, out uint length).Should().BeTrue();
        (id, length).Should().Be((first, 4u));
        queue.MarkBroken("something else");
        queue.BrokenReason.Should().Contain(reason, "the first reason stays");
        queue.Invoking(q => q.MarkBroken(string.Empty)).Should().Throw<ArgumentException>();
    }

    private Virtqueue Create(RingDriver driver)
    {
        BareRing.TryCreate(driver.Configuration, driver.Ram.Dma, _interrupt, out Virtqueue? queue, out string? reason).Should().BeTrue(reason);
        return queue!;
    }
}
