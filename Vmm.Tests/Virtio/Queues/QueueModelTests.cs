using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Epochs;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>Random doings of a driver and a device against a model that is two lists.</summary>
public sealed class QueueModelTests
{
    [Theory]
    [Trait("Behaviour", "VQ-1")]
    [Trait("Behaviour", "VQ-6")]
    [InlineData(1, 2)]
    [InlineData(2, 4)]
    [InlineData(3, 8)]
    [InlineData(4, 16)]
    [InlineData(5, 64)]
    [InlineData(6, 256)]
    public void Random_interleavings_behave_as_the_model(int seed, int size)
    {
        var random = new Random(seed);
        using var ram = new GuestRam((0, 1 << 20), (1 << 20, 1 << 20), (2 << 20, 8 << 20));
        using var interrupt = new CountingVector();
        var driver = new SplitRingDriver(ram, (ushort)size, RingFeatures.IndirectDescriptors | (seed % 2 == 0 ? RingFeatures.EventIndex : 0));
        ulong tables = ram.Allocate(16UL * 16 * (ulong)size);
        Virtqueue queue = Make(driver, ram, interrupt, null);
        var unpublished = new List<Chain>();
        var available = new Queue<Chain>();
        var popped = new List<(Chain Model, DescriptorChain Chain)>();
        var used = new Queue<(ushort Head, uint Length)>();
        var spare = new Stack<DescriptorChain>(Enumerable.Range(0, size + 1).Select(_ => new DescriptorChain(1)));
        Chain? lastPopped = null;
        int taken = 0;
        for (int step = 0; step < 20_000; step++)
        {
            using AccessDomain.ReadScope scope = queue.Enter();
            switch (random.Next(8))
            {
                case 0 or 1 when driver.FreeDescriptors > 0:
                    unpublished.Add(Add(random, driver, tables));
                    break;
                case 2:
                    driver.Publish();
                    unpublished.ForEach(available.Enqueue);
                    unpublished.Clear();
                    break;
                case 3 or 4:
                    bool expected = available.TryDequeue(out Chain? model);
                    DescriptorChain chain = spare.Pop();
                    queue.TryPop(chain).Should().Be(expected, queue.BrokenReason);
                    if (expected)
                    {
                        Check(chain, model!);
                        popped.Add((model!, chain));
                        lastPopped = model;
                    }
                    else
                    {
                        spare.Push(chain);
                    }

                    break;
                case 5 when popped.Count > 0:
                    int index = random.Next(popped.Count);
                    (Chain done, DescriptorChain doneChain) = popped[index];
                    popped.RemoveAt(index);
                    uint written = (uint)random.Next(0, (int)doneChain.WritableLength + 1);
                    queue.Complete(doneChain, written);
                    used.Enqueue((done.Head, written));
                    spare.Push(doneChain);
                    lastPopped = lastPopped == done ? null : lastPopped;
                    break;
                case 6:
                    bool any = used.TryDequeue(out (ushort Head, uint Length) entry);
                    driver.TryTakeUsed(out uint id, out uint length).Should().Be(any);
                    taken += any ? 1 : 0;
                    if (any)
                    {
                        ((ushort)id, length).Should().Be(entry);
                    }

                    break;
                case 7 when lastPopped is not null && popped.Count > 0 && popped[^1].Model == lastPopped:
                    queue.UndoPop(popped[^1].Chain);
                    spare.Push(popped[^1].Chain);
                    popped.RemoveAt(popped.Count - 1);
                    available = new Queue<Chain>(available.Prepend(lastPopped));
                    lastPopped = null;
                    break;
                case 7 when popped.Count == 0:
                    queue = Make(driver, ram, interrupt, queue.Save());
                    break;
            }
        }

        queue.IsBroken.Should().BeFalse(queue.BrokenReason);
        taken.Should().BeGreaterThan(500);
    }

    private static Virtqueue Make(SplitRingDriver driver, GuestRam ram, CountingVector interrupt, VirtqueueState? state)
    {
        BareRing.TryCreate(driver.Configuration with { State = state }, ram.Dma, interrupt, out Virtqueue? queue, out string? reason)
            .Should().BeTrue(reason);
        return queue!;
    }

    private static Chain Add(Random random, SplitRingDriver driver, ulong tables)
    {
        bool indirect = random.Next(2) == 0;
        int count = random.Next(1, 1 + (indirect ? 16 : Math.Min(driver.FreeDescriptors, 5)));
        int readable = random.Next(0, count + 1);
        var buffers = new GuestBuffer[count];
        for (int i = 0; i < count; i++)
        {
            // Around the borders of the regions, where pieces come from.
            ulong border = random.Next(2) == 0 ? 1UL << 20 : 2UL << 20;
            buffers[i] = new GuestBuffer(border + (ulong)random.Next(0, 4000) - 2000, (uint)random.Next(0, 3000), i >= readable);
        }

        ushort head = indirect ? driver.AddIndirectAt(tables + (256UL * driver.NextHead), buffers) : driver.Add(buffers);
        return new Chain(head, buffers);
    }

    private static void Check(DescriptorChain chain, Chain model)
    {
        chain.Head.Should().Be(model.Head);
        chain.ReadableLength.Should().Be(model.Buffers.Where(b => !b.IsWritable).Sum(b => b.Length));
        chain.WritableLength.Should().Be(model.Buffers.Where(b => b.IsWritable).Sum(b => b.Length));
    }

    private sealed record Chain(ushort Head, GuestBuffer[] Buffers);
}
