using System;
using System.Threading;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Tests.Fakes.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>A packed ring between two threads, and who is notified of what.</summary>
public sealed class PackedNotificationTests
{
    private static long Chains => Soak.On ? 10_000_000 : 150_000;

    [Theory]
    [Trait("Behaviour", "VQ-4")]
    [Trait("Behaviour", "VQ-5")]
    [InlineData(false)]
    [InlineData(true)]
    public void A_driver_on_another_thread_loses_and_invents_nothing(bool eventIndex)
    {
        const ushort Size = 63;
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        using var kick = new AutoResetEvent(false);
        var driver = new PackedGuestDriver(ram, Size, eventIndex ? RingFeatures.EventIndex : 0);
        Virtqueue.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        long chains = Chains;
        long served = 0;
        string? deviceFailure = null;
        var device = new Thread(() =>
        {
            var chain = new DescriptorChain();
            Span<byte> bytes = stackalloc byte[8];
            while (served < chains)
            {
                if (!kick.WaitOne(30_000))
                {
                    deviceFailure = $"no kick after {served} chains";
                    return;
                }

                using (queue!.Enter())
                {
                    do
                    {
                        queue.DisableKicks();
                        while (queue.TryPop(chain))
                        {
                            chain.Readable.CopyTo(bytes);
                            long sequence = BitConverter.ToInt64(bytes);
                            if (sequence != served)
                            {
                                deviceFailure ??= $"chain {sequence} came as number {served}";
                            }

                            BitConverter.TryWriteBytes(bytes, ~sequence);
                            chain.Writable.CopyFrom(bytes);
                            queue.Complete(chain, 8);
                            served++;
                            if (served % 5 == 0)
                            {
                                queue.SignalIfNeeded();
                            }
                        }

                        queue.SignalIfNeeded();
                    }
                    while (queue.EnableKicks());
                }

                if (queue.IsBroken)
                {
                    deviceFailure ??= queue.BrokenReason;
                    return;
                }
            }
        });
        device.Start();

        ulong[] cells = new ulong[Size];
        for (int i = 0; i < Size; i++)
        {
            cells[i] = ram.Allocate(16);
        }

        long sent = 0;
        long received = 0;
        long[] sequenceOf = new long[Size];
        var random = new Random(5);
        while (received < chains && deviceFailure == null)
        {
            int batch = random.Next(1, 8);
            while (batch-- > 0 && sent < chains && driver.FreeDescriptors >= 2)
            {
                ulong cell = cells[sent % Size];
                ram.Write(cell, sent);
                ushort id = driver.Add(Readable(cell, 8), Writable(cell + 8, 8));
                sequenceOf[id] = sent;
                sent++;
            }

            driver.Publish();
            if (driver.NeedsKick())
            {
                kick.Set();
            }

            bool full = driver.FreeDescriptors < 2 || sent == chains;
            while (driver.TryTakeUsed(out ushort used, out uint length))
            {
                long sequence = sequenceOf[used];
                length.Should().Be(8);
                sequence.Should().Be(received);
                ram.Read<long>(cells[sequence % Size] + 8).Should().Be(~sequence);
                received++;
                full = false;
            }

            if (full && received < chains && !driver.EnableInterrupts())
            {
                interrupt.Wait(30_000).Should().BeTrue($"no interrupt after {received} of {sent}; {deviceFailure}");
            }
        }

        kick.Set();
        device.Join();
        deviceFailure.Should().BeNull();
        received.Should().Be(chains);
        served.Should().Be(chains);
        driver.HasUsed.Should().BeFalse();
    }

    [Theory]
    [Trait("Behaviour", "VQ-5")]
    [InlineData(false)]
    [InlineData(true)]
    public void Flags_alone_ask_for_every_notification_or_none(bool eventIndex)
    {
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        var driver = new PackedGuestDriver(ram, 4, eventIndex ? RingFeatures.EventIndex : 0);
        Virtqueue.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        var chain = new DescriptorChain();
        driver.DriverEvent = 1 << 16;
        Serve(driver, queue!, chain).Should().BeFalse("the driver wants none");
        driver.DriverEvent = 0;
        Serve(driver, queue!, chain).Should().BeTrue();
        using (queue!.Enter())
        {
            queue.NeedsInterrupt().Should().BeFalse("it was signalled already");
            queue.DisableKicks();
            driver.DeviceEvent.Should().Be(1 << 16);
            queue.EnableKicks().Should().BeFalse();
            driver.DeviceEvent.Should().Be(eventIndex ? 0x2_8002u : 0);
            driver.Add(Writable(0x1000, 4));
            driver.Publish();
            queue.EnableKicks().Should().BeTrue("a chain came meanwhile");
        }
    }

    [Theory]
    [Trait("Behaviour", "VQ-5")]
    [InlineData(true, 0x0000_ffffu, true)] // enabled, whatever the place says
    [InlineData(true, 0x0001_8000u, false)]
    [InlineData(true, 0xfffd_8000u, false)] // bits 15:2 of the flags are reserved
    [InlineData(true, 0xfffc_8000u, true)]
    [InlineData(true, 0x0002_8000u, true)] // this very descriptor
    [InlineData(true, 0xfffe_8000u, true)]
    [InlineData(true, 0x0002_8001u, false)]
    [InlineData(true, 0x0002_0000u, false)]
    [InlineData(true, 0x0003_8001u, true)] // no such flags: rather one too many than one too few
    [InlineData(false, 0x0002_8001u, true)] // a place means nothing without VIRTIO_F_EVENT_IDX
    public void What_the_driver_asks_for_decides(bool eventIndex, uint wish, bool expected)
    {
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        var driver = new PackedGuestDriver(ram, 4, eventIndex ? RingFeatures.EventIndex : 0);
        Virtqueue.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        driver.DriverEvent = wish;
        Serve(driver, queue!, new DescriptorChain()).Should().Be(expected);
    }

    [Fact]
    [Trait("Behaviour", "VQ-5")]
    public void A_restored_ring_signals_once_more_than_it_must()
    {
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        var driver = new PackedGuestDriver(ram, 4, RingFeatures.EventIndex);
        var state = new VirtqueueState { AvailableIndex = 0x8000, UsedIndex = 0x8000 };
        Virtqueue.TryCreate(driver.Configuration with { State = state }, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        driver.DriverEvent = 0x2_8003;
        using (queue!.Enter())
        {
            queue.NeedsInterrupt().Should().BeTrue();
            queue.NeedsInterrupt().Should().BeFalse();
        }
    }

    [Theory]
    [Trait("Behaviour", "VQ-1")]
    [Trait("Behaviour", "VQ-5")]
    [InlineData(3)]
    [InlineData(5)]
    public void An_event_fires_when_its_descriptor_is_used_and_not_before_or_after(int size)
    {
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        var driver = new PackedGuestDriver(ram, (ushort)size, RingFeatures.EventIndex);
        Virtqueue.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        var chain = new DescriptorChain();
        var random = new Random(size);
        for (int round = 0; round < 5_000; round++)
        {
            // Up to a lap ahead of the next used descriptor.
            int ahead = random.Next(size);
            uint place = driver.NextUsed + (uint)ahead;
            bool wrap = driver.UsedWrap ^ (place >= size);
            driver.DriverEvent = (place % (uint)size) | (wrap ? 0x8000u : 0) | (2u << 16);
            for (int i = 0; i <= ahead; i++)
            {
                Serve(driver, queue!, chain).Should().Be(i == ahead, $"round {round}: descriptor {i} of {ahead}");
            }
        }
    }

    [Fact]
    [Trait("Behaviour", "VQ-5")]
    public void A_busy_device_asks_for_no_kick_and_an_idle_one_for_the_next()
    {
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        var driver = new PackedGuestDriver(ram, 5, RingFeatures.EventIndex);
        Virtqueue.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        var chain = new DescriptorChain();
        for (int round = 0; round < 1000; round++)
        {
            using (queue!.Enter())
            {
                queue.EnableKicks().Should().BeFalse();
                driver.Add(Writable(0x1000, 4));
                driver.Publish();
                driver.NeedsKick().Should().BeTrue();
                queue.DisableKicks();
                driver.Add(Writable(0x1000, 4), Writable(0x1000, 4));
                driver.Publish();
                driver.NeedsKick().Should().BeFalse();
                while (queue.TryPop(chain))
                {
                    queue.Complete(chain, 4);
                }
            }

            driver.TryTakeUsed(out _, out _).Should().BeTrue();
            driver.TryTakeUsed(out _, out _).Should().BeTrue();
        }
    }

    private static bool Serve(PackedGuestDriver driver, Virtqueue queue, DescriptorChain chain)
    {
        driver.Add(Writable(0x1000, 4));
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeTrue();
            queue.Complete(chain, 4);
            driver.TryTakeUsed(out _, out _).Should().BeTrue();
            return queue.NeedsInterrupt();
        }
    }
}
