using System;
using System.Collections.Generic;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>Packed rings as a decent driver uses them.</summary>
public sealed class PackedVirtqueueTests : IDisposable
{
    private readonly GuestRam _ram = new((0, 1 << 20), (1 << 20, 1 << 20));
    private readonly CountingVector _interrupt = new();
    private readonly DescriptorChain _chain = new();

    public void Dispose()
    {
        _ram.Dispose();
        _interrupt.Dispose();
    }

    [Theory]
    [Trait("Behaviour", "VQ-1")]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(8)]
    public void Every_lap_carries_on_where_the_last_one_ended(int size)
    {
        var driver = new PackedRingDriver(_ram, (ushort)size, RingFeatures.IndirectDescriptors | RingFeatures.EventIndex);
        Virtqueue queue = Create(driver);
        ulong cells = _ram.Allocate(64);
        ulong table = _ram.Allocate(48);
        Span<byte> bytes = stackalloc byte[4];
        var none = new DescriptorChain(1);
        using (queue.Enter())
        {
            for (int i = 0; i < 70_000; i++)
            {
                _ram.Write(cells, i);
                GuestBuffer[] buffers = size >= 3 && i % 3 != 0
                    ? [Readable(cells, 2), Readable(cells + 2, 2), Writable(cells + 8, 4)]
                    : [Readable(cells, 4)];
                ushort id = i % 7 == 0 ? driver.AddIndirectAt(table, buffers) : driver.Add(buffers);
                queue.TryPop(_chain).Should().BeFalse();
                driver.Publish();
                queue.TryPop(_chain).Should().BeTrue();
                _chain.Readable.CopyTo(bytes);
                if (BitConverter.ToInt32(bytes) != i || _chain.WritableLength != (buffers.Length == 3 ? 4 : 0))
                {
                    Assert.Fail($"chain {i} came as {BitConverter.ToInt32(bytes)}");
                }

                queue.TryPop(none).Should().BeFalse();
                queue.Complete(_chain, (uint)_chain.WritableLength);
                if (!driver.TryTakeUsed(out uint used, out uint length) || used != id || length != _chain.WritableLength)
                {
                    Assert.Fail($"chain {i} completed as {used}, {length} bytes");
                }
            }
        }

        driver.HasUsed.Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "VQ-1")]
    public void The_used_descriptor_says_whether_anything_was_written()
    {
        var driver = new PackedRingDriver(_ram, 4);
        Virtqueue queue = Create(driver);
        driver.Add(Writable(0x1000, 8));
        driver.Add(Writable(0x1000, 8));
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
            queue.Complete(_chain, 8);
            queue.TryPop(_chain).Should().BeTrue();
            queue.Complete(_chain, 0);
        }

        _ram.Read<ushort>(driver.PlaceOf(0) + 14).Should().Be(0x8082);
        _ram.Read<ushort>(driver.PlaceOf(1) + 14).Should().Be(0x8080);
    }

    [Fact]
    [Trait("Behaviour", "VQ-1")]
    public void Table_entries_are_used_in_order_and_their_reserved_bits_ignored()
    {
        var driver = new PackedRingDriver(_ram, 4, RingFeatures.IndirectDescriptors);
        Virtqueue queue = Create(driver);

        // The table lies across two regions; WRITE of the indirect descriptor itself is ignored.
        ulong table = (1 << 20) - 16;
        driver.SetDescriptorAt(table, 0x1000, 3, 0, 9);
        driver.SetDescriptorAt(table + 16, 0x2000, 0, 0, 9);
        driver.SetDescriptorAt(table + 32, (1 << 20) - 1, 5, PackedRingDriver.Write, 9);
        driver.SetDescriptor(0, table, 48, PackedRingDriver.Indirect | PackedRingDriver.Write | PackedRingDriver.Available, 77);
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue(queue.BrokenReason);
            _chain.Head.Should().Be(77);
            _chain.ReadableLength.Should().Be(3);
            _chain.WritableLength.Should().Be(5);
        }
    }

    [Fact]
    [Trait("Behaviour", "VQ-1")]
    public void The_id_of_a_chain_is_that_of_its_last_descriptor()
    {
        var driver = new PackedRingDriver(_ram, 4);
        Virtqueue queue = Create(driver);
        driver.SetDescriptor(1, 0x2000, 8, PackedRingDriver.Write | PackedRingDriver.Available, 0x5678);
        driver.SetDescriptor(0, 0x1000, 4, PackedRingDriver.Next | PackedRingDriver.Available, 0x1234);
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue(queue.BrokenReason);
            _chain.Head.Should().Be(0x5678);
            queue.CompleteTogether([], []);
            driver.HasUsed.Should().BeFalse();
            queue.Complete(_chain, 0x01020304);
        }

        _ram.Read(driver.PlaceOf(0) + 8, 8).Should().Equal(4, 3, 2, 1, 0x78, 0x56, 0x82, 0x80);
        queue.Save().Should().Be(new VirtqueueState { AvailableIndex = 0x8002, UsedIndex = 0x8002 });
    }

    [Fact]
    [Trait("Behaviour", "VQ-1")]
    public void In_a_table_only_WRITE_counts_of_the_flags()
    {
        const int Ignored = PackedRingDriver.Next | PackedRingDriver.Available | PackedRingDriver.Used | 0x4038;
        var driver = new PackedRingDriver(_ram, 4, RingFeatures.IndirectDescriptors);
        Virtqueue queue = Create(driver);
        ulong table = _ram.Allocate(32);
        driver.SetDescriptorAt(table, 0x1000, 3, Ignored);
        driver.SetDescriptorAt(table + 16, 0x2000, 5, Ignored | PackedRingDriver.Write);
        driver.SetDescriptor(0, table, 32, PackedRingDriver.Indirect | PackedRingDriver.Available);
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue(queue.BrokenReason);
            (_chain.ReadableLength, _chain.WritableLength).Should().Be((3, 5));
        }
    }

    [Theory]
    [Trait("Behaviour", "VQ-1")]
    [Trait("Behaviour", "VQ-6")]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_random_driver_gets_every_chain_back_once_also_across_restores(int seed)
    {
        var random = new Random(seed);
        ushort size = (ushort)random.Next(4, 40);
        var driver = new PackedRingDriver(_ram, size, RingFeatures.IndirectDescriptors);
        Virtqueue queue = Create(driver);
        var expected = new Dictionary<ushort, (long Read, long Written)>();
        var offered = new Queue<ushort>();
        var popped = new List<DescriptorChain>();
        ulong table = _ram.Allocate(16UL * 16 * size);
        int tables = 0;
        for (int step = 0; step < 30_000; step++)
        {
            switch (random.Next(6))
            {
                case 0 or 1:
                    int count = random.Next(1, 5);
                    if (driver.FreeDescriptors < count)
                    {
                        break;
                    }

                    var buffers = new GuestBuffer[count];
                    int readable = random.Next(0, count + 1);
                    long read = 0;
                    long written = 0;
                    for (int i = 0; i < count; i++)
                    {
                        uint length = (uint)random.Next(0, 100);
                        buffers[i] = i < readable ? Readable((1 << 20) - 50, length) : Writable((1 << 20) - 50, length);
                        read += i < readable ? length : 0;
                        written += i < readable ? 0 : length;
                    }

                    ushort id = random.Next(2) == 0
                        ? driver.Add(buffers)
                        : driver.AddIndirectAt(table + (64UL * (uint)(tables++ % (4 * size))), buffers);
                    driver.Publish();
                    expected.Add(id, (read, written));
                    offered.Enqueue(id);
                    break;
                case 2 or 3:
                    using (queue.Enter())
                    {
                        var chain = new DescriptorChain(1);
                        queue.TryPop(chain).Should().Be(offered.Count != 0, queue.BrokenReason);
                        if (offered.Count == 0)
                        {
                            break;
                        }

                        chain.Head.Should().Be(offered.Peek());
                        (chain.ReadableLength, chain.WritableLength).Should().Be(expected[chain.Head]);
                        if (random.Next(4) == 0)
                        {
                            queue.UndoPop(chain);
                        }
                        else
                        {
                            offered.Dequeue();
                            popped.Add(chain);
                        }
                    }

                    break;
                case 4 when popped.Count != 0:
                    int index = random.Next(popped.Count);
                    using (queue.Enter())
                    {
                        queue.Complete(popped[index], (uint)popped[index].WritableLength);
                    }

                    ushort head = popped[index].Head;
                    popped.RemoveAt(index);
                    driver.TryTakeUsed(out uint used, out uint bytes).Should().BeTrue();
                    used.Should().Be(head);
                    bytes.Should().Be((uint)expected[head].Written);
                    expected.Remove(head);
                    break;
                case 5 when random.Next(10) == 0:
                    VirtqueueState state = queue.Save();
                    (state.AvailableIndex >> 15).Should().BeLessThan(2);
                    queue = Create(driver, state);
                    queue.Save().Should().Be(state);
                    break;
            }
        }

        queue.IsBroken.Should().BeFalse(queue.BrokenReason);
        driver.FreeDescriptors.Should().BeLessThanOrEqualTo(size);
    }

    [Theory]
    [Trait("Behaviour", "VQ-6")]
    [InlineData(0x8005, 0x8000)]
    [InlineData(0x8000, 0x8005)]
    [InlineData(0x8002, 0x8003)]
    [InlineData(0x0003, 0x8002)]
    [InlineData(0x0002, 0x8005)]
    public void A_state_that_no_ring_of_this_size_has_is_refused(int available, int used)
    {
        var driver = new PackedRingDriver(_ram, 5);
        var state = new VirtqueueState { AvailableIndex = (ushort)available, UsedIndex = (ushort)used };
        BareRing.TryCreate(driver.Configuration with { State = state }, _ram.Dma, _interrupt, out _, out string? reason).Should().BeFalse();
        reason.Should().Contain("saved state");
    }

    [Theory]
    [Trait("Behaviour", "VQ-1")]
    [InlineData(0, 0, 0, 0, "size")]
    [InlineData(32769, 0, 0, 0, "size")]
    [InlineData(5, 8, 0, 0, "aligned to 16")]
    [InlineData(5, 0, 2, 0, "aligned to 4")]
    [InlineData(5, 0, 0, 2, "aligned to 4")]
    [InlineData(5, 0x200000, 0, 0, "descriptor ring is not")]
    [InlineData(5, 0, 0x200000, 0, "driver event suppression is not")]
    [InlineData(5, 0, 0, 0x200000, "device event suppression is not")]
    public void Bad_areas_are_refused(int size, int descriptors, int driver, int device, string expected)
    {
        var configuration = new VirtqueueConfiguration
        {
            Index = 0,
            Size = (ushort)size,
            Descriptors = 0x1000 + (ulong)descriptors,
            Driver = 0x2000 + (ulong)driver,
            Device = 0x3000 + (ulong)device,
            Features = RingFeatures.Packed,
        };
        BareRing.TryCreate(configuration, _ram.Dma, _interrupt, out _, out string? reason).Should().BeFalse();
        reason.Should().Contain(expected);
    }

    private Virtqueue Create(PackedRingDriver driver, VirtqueueState? state = null)
    {
        BareRing.TryCreate(driver.Configuration with { State = state }, _ram.Dma, _interrupt, out Virtqueue? queue, out string? reason)
            .Should().BeTrue(reason);
        return queue!;
    }
}
