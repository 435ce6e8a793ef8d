using System;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>Who notifies whom, and when nobody does, whatever the form of the ring (virtio 1.2, 2.7.7, 2.7.10 and 2.8.10).</summary>
[Trait("Behaviour", "VQ-5")]
public sealed class SuppressionTests : IDisposable
{
    private readonly GuestRam _ram = new();
    private readonly CountingVector _interrupt = new();
    private readonly DescriptorChain _chain = new();

    public void Dispose()
    {
        _ram.Dispose();
        _interrupt.Dispose();
    }

    [Theory]
    [BothForms(false)]
    [BothForms(true)]
    public void Without_completions_there_is_no_interrupt(RingForm form, bool eventIndex)
    {
        Virtqueue queue = Create(RingDriver.Create(form, _ram, 8, eventIndex ? RingFeatures.EventIndex : 0));
        using (queue.Enter())
        {
            queue.SignalIfNeeded().Should().BeFalse();
        }

        _interrupt.Count.Should().Be(0);
    }

    [Theory]
    [InlineData(RingForm.Split, 4)]
    [InlineData(RingForm.Split, 8)]
    [InlineData(RingForm.Packed, 3)]
    [InlineData(RingForm.Packed, 5)]
    [Trait("Behaviour", "VQ-1")]
    public void An_event_fires_when_its_descriptor_is_used_and_not_before_or_after(RingForm form, int size)
    {
        var driver = RingDriver.Create(form, _ram, size, RingFeatures.EventIndex);
        Virtqueue queue = Create(driver);
        var random = new Random(size);
        for (int round = 0; round < 5_000; round++)
        {
            // Up to a lap ahead of the next used descriptor.
            int ahead = random.Next(size);
            driver.SetUsedEvent(ahead);
            for (int i = 0; i <= ahead; i++)
            {
                Serve(driver, queue).Should().Be(i == ahead, $"round {round}: descriptor {i} of {ahead}");
            }

            Serve(driver, queue).Should().BeFalse("round {0}: what the driver asked for is behind", round);
        }
    }

    [Theory]
    [InlineData(RingForm.Split, 8, false)]
    [InlineData(RingForm.Split, 8, true)]
    [InlineData(RingForm.Packed, 5, false)]
    [InlineData(RingForm.Packed, 5, true)]
    public void A_busy_device_asks_for_no_kick_and_an_idle_one_for_the_next(RingForm form, int size, bool eventIndex)
    {
        var driver = RingDriver.Create(form, _ram, size, eventIndex ? RingFeatures.EventIndex : 0);
        Virtqueue queue = Create(driver);
        for (int round = 0; round < 1000; round++)
        {
            using (queue.Enter())
            {
                queue.EnableKicksAndCheckForMore().Should().BeFalse();
                driver.Add(Writable(0x1000, 4));
                driver.Publish();
                driver.NeedsKick().Should().BeTrue();
                queue.DisableKicks();
                driver.Add(Writable(0x1000, 4), Writable(0x1000, 4));
                driver.Publish();
                driver.NeedsKick().Should().BeFalse();
                while (queue.TryPop(_chain))
                {
                    queue.Complete(_chain, 4);
                }
            }

            driver.TryTakeUsed(out _, out _).Should().BeTrue();
            driver.TryTakeUsed(out _, out _).Should().BeTrue();
        }
    }

    [Theory]
    [BothForms(false)]
    [BothForms(true)]
    [Trait("Behaviour", "VQ-6")]
    public void A_restored_ring_signals_once_more_than_it_must(RingForm form, bool eventIndex)
    {
        var driver = RingDriver.Create(form, _ram, 8, eventIndex ? RingFeatures.EventIndex : 0);

        // A packed ring begins with its wrap counters set.
        ushort start = form == RingForm.Packed ? (ushort)0x8000 : (ushort)0;
        Virtqueue queue = Create(driver, new VirtqueueState { AvailableIndex = start, UsedIndex = start });
        driver.SetUsedEvent(3);
        using (queue.Enter())
        {
            queue.SignalIfNeeded().Should().BeTrue("nobody knows whether the last ones were signalled");
            queue.SignalIfNeeded().Should().BeFalse();
        }

        _interrupt.Count.Should().Be(1);
        Serve(driver, queue).Should().Be(!eventIndex, "from here on the driver's wish counts");
    }

    [Theory]
    [InlineData(RingForm.Split, 8)]
    [InlineData(RingForm.Packed, 5)]
    [Trait("Behaviour", "VQ-1")]
    public void Chains_that_complete_together_are_seen_together(RingForm form, int size)
    {
        var driver = RingDriver.Create(form, _ram, size);
        Virtqueue queue = Create(driver);
        var other = new DescriptorChain();
        for (int round = 0; round < 20; round++)
        {
            ushort first = driver.Add(Writable(0x1000, 8), Writable(0x2000, 8));
            ushort second = driver.Add(Writable(0x1000, 8));
            driver.Publish();
            using (queue.Enter())
            {
                queue.TryPop(_chain).Should().BeTrue();
                queue.TryPop(other).Should().BeTrue();
                queue.CompleteTogether([], []);
                driver.HasUsed.Should().BeFalse();
                queue.CompleteTogether([_chain, other], [16, 5]);
            }

            driver.TryTakeUsed(out uint id, out uint length).Should().BeTrue();
            (id, length).Should().Be((first, 16u));
            driver.TryTakeUsed(out id, out length).Should().BeTrue();
            (id, length).Should().Be((second, 5u));
            driver.HasUsed.Should().BeFalse();
        }
    }

    private Virtqueue Create(RingDriver driver, VirtqueueState? state = null)
    {
        BareRing.TryCreate(driver.Configuration with { State = state }, _ram.Dma, _interrupt, out Virtqueue? queue, out string? reason)
            .Should().BeTrue(reason);
        return queue!;
    }

    private bool Serve(RingDriver driver, Virtqueue queue)
    {
        driver.Add(Writable(0x1000, 4));
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
            queue.Complete(_chain, 4);
            driver.TryTakeUsed(out _, out _).Should().BeTrue();
            return queue.NeedsInterrupt();
        }
    }
}
