using System;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>How the two sides of a split ring ask for notifications: flags and event indices (virtio 1.2, 2.7.7 and 2.7.10).</summary>
[Trait("Behaviour", "VQ-5")]
public sealed class SplitNotificationTests : IDisposable
{
    private readonly GuestRam _ram = new();
    private readonly CountingVector _interrupt = new();
    private readonly DescriptorChain _chain = new();
    private readonly ulong _data;

    public SplitNotificationTests()
    {
        _data = _ram.Allocate(64);
    }

    public void Dispose()
    {
        _ram.Dispose();
        _interrupt.Dispose();
    }

    [Fact]
    public void The_flag_of_the_driver_decides_about_interrupts()
    {
        var driver = new SplitRingDriver(_ram, 8);
        Virtqueue queue = Create(driver);
        driver.NoInterrupt = true;
        Serve(driver, queue).Should().BeFalse();
        driver.NoInterrupt = false;
        Serve(driver, queue).Should().BeTrue();
        _interrupt.Count.Should().Be(1);
        using (queue.Enter())
        {
            queue.SignalIfNeeded().Should().BeFalse("one interrupt tells of everything before it");
        }
    }

    [Fact]
    public void The_flag_of_the_device_asks_for_kicks()
    {
        var driver = new SplitRingDriver(_ram, 8);
        Virtqueue queue = Create(driver);
        using (queue.Enter())
        {
            driver.NoNotify.Should().BeFalse("at the start kicks are wanted");
            queue.DisableKicks();
            driver.NoNotify.Should().BeTrue();
            queue.EnableKicksAndCheckForMore().Should().BeFalse();
            driver.NoNotify.Should().BeFalse();
            queue.DisableKicks();
            driver.Add(Writable(_data, 4));
            driver.Publish();
            driver.NeedsKick().Should().BeFalse();
            queue.EnableKicksAndCheckForMore().Should().BeTrue("a chain came while kicks were off");
        }
    }

    [Fact]
    public void The_event_index_of_the_device_asks_for_kicks()
    {
        var driver = new SplitRingDriver(_ram, 8, RingFeatures.EventIndex);
        Virtqueue queue = Create(driver);
        driver.Add(Writable(_data, 4));
        driver.Publish();
        driver.NeedsKick().Should().BeTrue("at the start kicks are wanted");
        using (queue.Enter())
        {
            queue.DisableKicks();
            queue.TryPop(_chain).Should().BeTrue();
            driver.Add(Writable(_data, 4));
            driver.Publish();
            driver.NeedsKick().Should().BeFalse("the device is looking");
            queue.TryPop(_chain).Should().BeTrue();
            queue.EnableKicksAndCheckForMore().Should().BeFalse();
            driver.AvailableEvent.Should().Be(2);
            driver.Add(Writable(_data, 4));
            driver.Publish();
            driver.NeedsKick().Should().BeTrue();
            queue.EnableKicksAndCheckForMore().Should().BeTrue();
            driver.NoNotify.Should().BeFalse("the flag is 0 with event indices");
        }
    }

    [Fact]
    public void The_event_index_of_the_driver_is_honoured_for_every_place_and_across_the_wrap()
    {
        var random = new Random(3);
        var driver = new SplitRingDriver(_ram, 64, RingFeatures.EventIndex);
        Virtqueue queue = Create(driver);
        ushort before = 0;
        for (int i = 0; i < 20_000; i++)
        {
            int batch = random.Next(1, 64);
            driver.UsedEvent = (ushort)(before + random.Next(-70, 140));
            for (int j = 0; j < batch; j++)
            {
                driver.Add(Writable(_data, 4));
            }

            driver.Publish();
            bool needed;
            using (queue.Enter())
            {
                while (queue.TryPop(_chain))
                {
                    queue.Complete(_chain, 0);
                }

                needed = queue.NeedsInterrupt();
            }

            // The interrupt is wanted when the entry with the event's number is among those written.
            bool expected = false;
            for (int j = 0; j < batch; j++)
            {
                expected |= (ushort)(before + j) == driver.UsedEvent;
            }

            needed.Should().Be(expected, $"event {driver.UsedEvent}, {batch} entries from {before}");
            before += (ushort)batch;
            while (driver.TryTakeUsed(out _, out _))
            {
            }
        }
    }

    [Fact]
    public void Other_bits_of_the_drivers_flags_mean_nothing()
    {
        var driver = new SplitRingDriver(_ram, 8);
        Virtqueue queue = Create(driver);
        _ram.Write(driver.Driver, (ushort)0xfffe);
        Serve(driver, queue).Should().BeTrue();
        _ram.Write(driver.Driver, (ushort)0xffff);
        Serve(driver, queue).Should().BeFalse();
        _ram.Write(driver.Driver, (ushort)0);
        using (queue.Enter())
        {
            queue.NeedsInterrupt().Should().BeFalse("the driver looks at the used ring itself when it clears the flag");
        }
    }

    [Fact]
    public void With_event_indices_the_flags_mean_nothing_and_stay_zero()
    {
        var driver = new SplitRingDriver(_ram, 8, RingFeatures.EventIndex);
        Virtqueue queue = Create(driver);
        driver.NoInterrupt = true;
        driver.UsedEvent = 0;
        Serve(driver, queue).Should().BeTrue("that flag is for drivers without VIRTIO_F_EVENT_IDX");
        Serve(driver, queue).Should().BeFalse("entry 0 was signalled");
        using (queue.Enter())
        {
            queue.DisableKicks();
        }

        driver.NoNotify.Should().BeFalse();
    }

    private Virtqueue Create(SplitRingDriver driver)
    {
        BareRing.TryCreate(driver.Configuration, _ram.Dma, _interrupt, out Virtqueue? queue, out string? reason).Should().BeTrue(reason);
        return queue!;
    }

    private bool Serve(SplitRingDriver driver, Virtqueue queue)
    {
        driver.Add(Writable(_data, 4));
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(_chain).Should().BeTrue();
            queue.Complete(_chain, 4);
            return queue.SignalIfNeeded();
        }
    }
}
