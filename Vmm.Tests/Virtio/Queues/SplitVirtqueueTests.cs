using System;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>Split rings as a decent driver uses them.</summary>
public sealed class SplitVirtqueueTests : IDisposable
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
    [Trait("Behaviour", "VQ-1")]
    public void A_chain_comes_out_as_it_was_put_in_and_its_completion_is_seen()
    {
        var driver = new SplitRingDriver(_ram, 8);
        Virtqueue queue = Create(driver);
        ulong first = _ram.Place([1, 2, 3]);
        ulong second = _ram.Place([4, 5]);
        ulong answer = _ram.Allocate(16);
        ushort head = driver.Add(Readable(first, 3), Readable(second, 2), Writable(answer, 16));
        driver.Publish();

        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
            _chain.Head.Should().Be(head);
            _chain.ReadableLength.Should().Be(5);
            _chain.WritableLength.Should().Be(16);
            byte[] read = new byte[8];
            _chain.Readable.CopyTo(read).Should().Be(5);
            read.Should().Equal(1, 2, 3, 4, 5, 0, 0, 0);
            _chain.Writable.CopyFrom([9, 8, 7]).Should().Be(3);
            queue.Complete(_chain, 3);
            queue.TryPop(_chain).Should().BeFalse();
        }

        driver.TryTakeUsed(out uint id, out uint length).Should().BeTrue();
        id.Should().Be(head);
        length.Should().Be(3);
        _ram.Read(answer, 4).Should().Equal(9, 8, 7, 0);
        queue.IsBroken.Should().BeFalse();
    }

    [Theory]
    [Trait("Behaviour", "VQ-1")]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Indices_wrap_past_65536(bool indirect, bool eventIndex)
    {
        ulong features = (indirect ? RingFeatures.IndirectDescriptors : 0) | (eventIndex ? RingFeatures.EventIndex : 0);
        var driver = new SplitRingDriver(_ram, 16, features);
        Virtqueue queue = Create(driver);
        ulong data = _ram.Allocate(16);
        ulong table = _ram.Allocate(64);
        int interrupts = 0;
        for (int i = 0; i < 150_000; i++)
        {
            ushort head = indirect
                ? driver.AddIndirectAt(table, Readable(data, 8), Writable(data + 8, 8))
                : driver.Add(Readable(data, 8), Writable(data + 8, 8));
            driver.UsedEvent = driver.LastUsed;
            driver.Publish();
            using (queue.Enter())
            {
                queue.TryPop(_chain).Should().BeTrue();
                queue.TryPop(new DescriptorChain(1)).Should().BeFalse();
                queue.Complete(_chain, (uint)i % 8);
                interrupts += queue.NeedsInterrupt() ? 1 : 0;
            }

            driver.TryTakeUsed(out uint id, out uint length).Should().BeTrue();
            id.Should().Be(head);
            length.Should().Be((uint)i % 8);
        }

        interrupts.Should().Be(150_000);
        queue.Save().Should().Be(new VirtqueueState { AvailableIndex = unchecked((ushort)150_000), UsedIndex = unchecked((ushort)150_000) });
    }

    [Theory]
    [Trait("Behaviour", "VQ-1")]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Direct_descriptors_may_come_before_an_indirect_one(int direct)
    {
        // 2.7.5.3.2: zero or more normal descriptors, then a single indirect one, whose WRITE flag is ignored.
        var driver = new SplitRingDriver(_ram, 8, RingFeatures.IndirectDescriptors);
        Virtqueue queue = Create(driver);
        ulong table = _ram.Allocate(32);
        ulong data = _ram.Allocate(64);
        driver.SetDescriptorAt(table, data + 32, 4, SplitRingDriver.Next, 1);
        driver.SetDescriptorAt(table + 16, data + 48, 8, SplitRingDriver.Write);
        for (int i = 0; i < direct; i++)
        {
            driver.SetDescriptor(i, data + (16UL * (uint)i), 4, SplitRingDriver.Next, (ushort)(i + 1));
        }

        driver.SetDescriptor(direct, table, 32, SplitRingDriver.Indirect | SplitRingDriver.Write);
        driver.AddHead(0);
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
            _chain.ReadableLength.Should().Be((direct + 1) * 4);
            _chain.WritableLength.Should().Be(8);
        }
    }

    [Fact]
    [Trait("Behaviour", "VQ-6")]
    public void A_returned_chain_is_popped_again()
    {
        var driver = new SplitRingDriver(_ram, 8);
        Virtqueue queue = Create(driver);
        ulong data = _ram.Allocate(64);
        ushort first = driver.Add(Writable(data, 1));
        ushort second = driver.Add(Writable(data + 1, 1));
        driver.Publish();
        var other = new DescriptorChain();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
            queue.TryPop(other).Should().BeTrue();
            queue.UndoPop(other);
            queue.TryPop(other).Should().BeTrue();
            other.Head.Should().Be(second);
            queue.UndoPop(other);
            queue.UndoPop(_chain);
            queue.Save().AvailableIndex.Should().Be(0);
            queue.TryPop(_chain).Should().BeTrue();
            _chain.Head.Should().Be(first);
        }
    }

    [Fact]
    [Trait("Behaviour", "VQ-6")]
    public void A_restored_ring_goes_on_where_the_saved_one_stopped_also_out_of_order()
    {
        var driver = new SplitRingDriver(_ram, 8, RingFeatures.EventIndex);
        Virtqueue queue = Create(driver);
        ulong data = _ram.Allocate(64);
        ushort[] heads = [.. Enumerable.Range(0, 4).Select(_ => driver.Add(Writable(data, 4)))];
        driver.Publish();
        var second = new DescriptorChain();
        using (queue.Enter())
        {
            queue.TryPop(_chain);
            queue.TryPop(second);
            queue.Complete(second, 2);
            queue.Complete(_chain, 1);
        }

        VirtqueueState state = queue.Save();
        state.Should().Be(new VirtqueueState { AvailableIndex = 2, UsedIndex = 2 });
        Virtqueue restored = Create(driver, state);
        using (restored.Enter())
        {
            restored.TryPop(_chain).Should().BeTrue();
            _chain.Head.Should().Be(heads[2]);
            restored.Complete(_chain, 3);
            restored.NeedsInterrupt().Should().BeTrue("nobody knows whether the last ones were signalled");
            restored.TryPop(_chain).Should().BeTrue();
            restored.Complete(_chain, 4);
            restored.TryPop(_chain).Should().BeFalse();
        }

        uint[] ids = new uint[4];
        uint[] lengths = new uint[4];
        for (int i = 0; i < 4; i++)
        {
            driver.TryTakeUsed(out ids[i], out lengths[i]).Should().BeTrue();
        }

        ids.Should().Equal(heads[1], heads[0], heads[2], heads[3]);
        lengths.Should().Equal(2, 1, 3, 4);
    }

    private Virtqueue Create(SplitRingDriver driver, VirtqueueState? state = null)
    {
        BareRing.TryCreate(driver.Configuration with { State = state }, _ram.Dma, _interrupt, out Virtqueue? queue, out string? reason)
            .Should().BeTrue(reason);
        return queue!;
    }
}
