using System;
using System.Linq;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Tests.Fakes.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

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
        var driver = new GuestDriver(_ram, 8);
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
        var driver = new GuestDriver(_ram, 16, features);
        Virtqueue queue = Create(driver);
        ulong data = _ram.Allocate(16);
        ulong table = _ram.Allocate(64);
        int interrupts = 0;
        for (int i = 0; i < 150_000; i++)
        {
            ushort head = indirect ? driver.AddIndirectAt(table, Readable(data, 8), Writable(data + 8, 8)) : driver.Add(Readable(data, 8), Writable(data + 8, 8));
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
        var driver = new GuestDriver(_ram, 8, RingFeatures.IndirectDescriptors);
        Virtqueue queue = Create(driver);
        ulong table = _ram.Allocate(32);
        ulong data = _ram.Allocate(64);
        driver.SetDescriptorAt(table, data + 32, 4, GuestDriver.Next, 1);
        driver.SetDescriptorAt(table + 16, data + 48, 8, GuestDriver.Write);
        for (int i = 0; i < direct; i++)
        {
            driver.SetDescriptor(i, data + (16UL * (uint)i), 4, GuestDriver.Next, (ushort)(i + 1));
        }

        driver.SetDescriptor(direct, table, 32, GuestDriver.Indirect | GuestDriver.Write);
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
    [Trait("Behaviour", "VQ-2")]
    public void An_indirect_table_may_be_longer_than_the_queue_and_lie_across_regions()
    {
        using var ram = new GuestRam((0, 1 << 20), (1 << 20, 1 << 20));
        var driver = new GuestDriver(ram, 2, RingFeatures.IndirectDescriptors);
        Virtqueue queue = Create(driver, ram.Dma);
        GuestBuffer[] buffers = [.. Enumerable.Range(0, 40).Select(i => Readable(0x8000 + ((ulong)i * 16), 1))];
        for (int i = 0; i < 40; i++)
        {
            ram.Write(0x8000 + ((ulong)i * 16), (byte)i);
        }

        driver.AddIndirectAt((1 << 20) - 168, buffers);
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
            byte[] read = new byte[40];
            _chain.Readable.CopyTo(read).Should().Be(40);
            read.Should().Equal(Enumerable.Range(0, 40).Select(i => (byte)i));
        }
    }

    [Theory]
    [Trait("Behaviour", "MEM-2")]
    [Trait("Behaviour", "VQ-3")]
    [InlineData(false)]
    [InlineData(true)]
    public void A_buffer_across_regions_comes_in_pieces_and_no_byte_lies_elsewhere(bool writable)
    {
        using var ram = new GuestRam((0, 1 << 20), (1 << 20, 4096), ((1 << 20) + 4096, 1 << 20));
        var driver = new GuestDriver(ram, 8);
        Virtqueue queue = Create(driver, ram.Dma);
        byte[] data = [.. Enumerable.Range(0, 10000).Select(i => (byte)(i * 7))];
        ulong address = (1 << 20) - 1000;
        ram.Write(address, writable ? new byte[data.Length] : data);
        driver.Add(new GuestBuffer(address, (uint)data.Length, writable));
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
            if (writable)
            {
                _chain.Writable.CopyFrom(data).Should().Be(data.Length);
            }

            byte[] read = new byte[data.Length];
            (writable ? _chain.Writable : _chain.Readable).CopyTo(read).Should().Be(data.Length);
            read.Should().Equal(data);
            int pieces = 0;
            foreach (Span<byte> piece in writable ? _chain.Writable : _chain.Readable)
            {
                pieces++;
                piece.Length.Should().BeLessThanOrEqualTo(4904);
            }

            pieces.Should().Be(3);
        }

        ram.Read(address, data.Length).Should().Equal(data);
    }

    [Fact]
    [Trait("Behaviour", "VQ-3")]
    public void Empty_buffers_are_nothing_wherever_they_point()
    {
        var driver = new GuestDriver(_ram, 8);
        Virtqueue queue = Create(driver);
        ulong data = _ram.Place([42]);
        driver.Add(Readable(0xdead_beef_0000, 0), Readable(data, 1), Writable(ulong.MaxValue, 0), Writable(data, 1), Writable(0, 0));
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
            _chain.ReadableLength.Should().Be(1);
            _chain.WritableLength.Should().Be(1);
            int pieces = 0;
            foreach (Span<byte> piece in _chain.Readable)
            {
                piece[0].Should().Be(42);
                pieces++;
            }

            pieces.Should().Be(1);
        }
    }

    [Fact]
    [Trait("Behaviour", "VQ-6")]
    public void A_returned_chain_is_popped_again()
    {
        var driver = new GuestDriver(_ram, 8);
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
            queue.Return(other);
            queue.TryPop(other).Should().BeTrue();
            other.Head.Should().Be(second);
            queue.Return(other);
            queue.Return(_chain);
            queue.Save().AvailableIndex.Should().Be(0);
            queue.TryPop(_chain).Should().BeTrue();
            _chain.Head.Should().Be(first);
        }
    }

    [Fact]
    [Trait("Behaviour", "VQ-6")]
    public void A_restored_ring_goes_on_where_the_saved_one_stopped_also_out_of_order()
    {
        var driver = new GuestDriver(_ram, 8, RingFeatures.EventIndex);
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
        Virtqueue restored = Create(driver, null, state);
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

    [Fact]
    [Trait("Behaviour", "PCI-8")]
    public void Without_bus_mastering_nothing_is_available_and_nothing_is_touched()
    {
        var driver = new GuestDriver(_ram, 8);
        Virtqueue queue = Create(driver);
        driver.Add(Writable(_ram.Allocate(4), 4));
        driver.Publish();
        _ram.Dma.Enabled = false;
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeFalse();
            queue.EnableKicks().Should().BeFalse();
        }

        _ram.Dma.Enabled = true;
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
        }
    }

    [Fact]
    [Trait("Behaviour", "VTP-17")]
    public void With_a_translator_rings_and_buffers_go_through_it()
    {
        // The device sees memory 1 GiB higher, page by page, and the last page of each buffer elsewhere.
        var driver = new GuestDriver(_ram, 8, RingFeatures.IndirectDescriptors);
        var translator = new ShiftingTranslator(1UL << 30);
        _ram.Dma.Translator = translator;
        VirtqueueConfiguration configuration = driver.Configuration with
        {
            Descriptors = driver.Descriptors + translator.Base,
            Driver = driver.Driver + translator.Base,
            Device = driver.Device + translator.Base,
        };
        Virtqueue.TryCreate(configuration, _ram.Dma, _interrupt, out Virtqueue? queue, out string? reason).Should().BeTrue(reason);
        ulong data = _ram.Allocate(3 * 4096, 4096);
        byte[] bytes = [.. Enumerable.Range(0, 3 * 4096).Select(i => (byte)(i / 3))];
        _ram.Write(data, bytes);
        ulong table = _ram.Allocate(32, 16);
        driver.SetDescriptorAt(table, data + translator.Base + 100, 9000, GuestDriver.Next, 1);
        driver.SetDescriptorAt(table + 16, data + translator.Base, 8192, GuestDriver.Write);
        driver.SetDescriptor(0, table + translator.Base, 32, GuestDriver.Indirect);
        driver.AddHead(0);
        driver.Publish();
        using (queue!.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue(queue.BrokenReason);
            byte[] read = new byte[9000];
            _chain.Readable.CopyTo(read).Should().Be(9000);
            read.Should().Equal(bytes.AsSpan(100, 9000).ToArray());
            _chain.Writable.Fill(0xee);
            queue.Complete(_chain, 8192);
        }

        _ram.Read(data, 8193).Should().Equal(Enumerable.Repeat((byte)0xee, 8192).Append(bytes[8192]));
        driver.TryTakeUsed(out _, out uint length).Should().BeTrue();
        length.Should().Be(8192);
        translator.Writes.Should().BePositive();

        translator.Unmapped = data + translator.Base;
        driver.AddHead(0);
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain("not in RAM");
    }

    private Virtqueue Create(GuestDriver driver, DmaTarget? dma = null, VirtqueueState? state = null)
    {
        Virtqueue.TryCreate(driver.Configuration with { State = state }, dma ?? _ram.Dma, _interrupt, out Virtqueue? queue, out string? reason)
            .Should().BeTrue(reason);
        return queue!;
    }
}
