using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>Bytes that a ring and its device write are marked dirty.</summary>
[Trait("Behaviour", "MEM-5")]
public sealed class DirtyTrackingTests
{
    private const int Length = (1 << 20) + 4096;
    private const ulong Shift = 1UL << 32;

    [Theory]
    [BothForms(0ul, false)]
    [BothForms(0ul, true)]
    [BothForms(RingFeatures.EventIndex, false)]
    [BothForms(RingFeatures.EventIndex, true)]
    public void Every_byte_that_changes_is_marked_and_few_others(RingForm form, ulong features, bool translated)
    {
        using var ram = new GuestRam((0, 1 << 20), (1 << 20, 4096));
        using var interrupt = new CountingVector();
        var driver = RingDriver.Create(form, ram, 8, features);
        ulong shift = translated ? Shift : 0;
        ram.Dma.Translator = translated ? new ShiftingTranslator(Shift) : null;
        VirtqueueConfiguration configuration = driver.Configuration with
        {
            Descriptors = driver.Descriptors + shift,
            Driver = driver.Driver + shift,
            Device = driver.Device + shift,
        };
        BareRing.TryCreate(configuration, ram.Dma, interrupt, out Virtqueue? queue, out string? reason).Should().BeTrue(reason);
        const int Across = (1 << 20) - 50;
        int inside = (int)ram.Allocate(2000);
        int source = (int)ram.Allocate(16);
        DescriptorChain[] chains = [new(), new(), new()];
        for (int round = 1; round < 30; round++)
        {
            byte[] data = [.. Enumerable.Repeat((byte)round, 100)];
            driver.Add(Readable((ulong)source + shift, 16), Writable(Across + shift, 500));
            driver.Add(Writable((ulong)inside + shift, 1000));
            driver.Add(Writable((ulong)inside + 1000 + shift, 1000));
            driver.Publish();
            var check = new DirtyCheck(ram, Length);
            using (queue!.Enter())
            {
                queue.DisableKicks();
                queue.TryPop(chains[0]).Should().BeTrue();
                chains[0].Writable.CopyFrom(data);
                queue.Complete(chains[0], 100);
                queue.TryPop(chains[1]).Should().BeTrue();
                queue.TryPop(chains[2]).Should().BeTrue();
                chains[1].Writable.CopyFrom(data);
                chains[2].Writable.CopyFrom(data);
                queue.CompleteTogether(chains.AsSpan(1), [100, 100]);
                queue.EnableKicksAndCheckForMore().Should().BeFalse();
            }

            (HashSet<int> marked, List<int> changed) = check.End();
            changed.Should().BeSubsetOf(marked, "round {0}", round);
            changed.Should().Contain([Across, Across + 99, inside, inside + 1099]);
            marked.Should().NotContain([Across + 100, inside + 100, inside + 1100, source], "only what was written counts");
            marked.Count.Should().BeLessThan(500);
            for (int i = 0; i < 3; i++)
            {
                driver.TryTakeUsed(out _, out _).Should().BeTrue();
            }
        }
    }

    [Theory]
    [BothForms(false)]
    [BothForms(true)]
    public void A_chain_that_is_given_back_counts_as_written(RingForm form, bool broken)
    {
        using var ram = new GuestRam((0, 1 << 20));
        using var interrupt = new CountingVector();
        var driver = RingDriver.Create(form, ram, 8);
        BareRing.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        int place = (int)ram.Allocate(1000);
        driver.Add(Writable((ulong)place, 1000));
        driver.Publish();
        var chain = new DescriptorChain();
        var check = new DirtyCheck(ram, 1 << 20);
        using (queue!.Enter())
        {
            queue.TryPop(chain).Should().BeTrue();
            chain.Writable.Slice(500).CopyFrom([1, 2, 3]);
            if (broken)
            {
                queue.MarkBroken("for some reason");
            }

            queue.UndoPop(chain);
        }

        (HashSet<int> marked, List<int> changed) = check.End();
        changed.Should().Equal(place + 500, place + 501, place + 502);
        marked.Should().Contain(changed);
    }
}
