using System;
using System.Threading;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>The ring between two threads, as between a vCPU and a worker.</summary>
[Trait("Category", "Long")]
public sealed class ConcurrencyTests
{
    private static long Chains => Soak.On ? 10_000_000 : 150_000;

    [Theory]
    [Trait("Behaviour", "VQ-4")]
    [Trait("Behaviour", "VQ-5")]
    [InlineData(RingForm.Split, 64, false)]
    [InlineData(RingForm.Split, 64, true)]
    [InlineData(RingForm.Packed, 63, false)]
    [InlineData(RingForm.Packed, 63, true)]
    public void A_driver_on_another_thread_loses_and_invents_nothing(RingForm form, int size, bool eventIndex)
    {
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        using var kick = new AutoResetEvent(false);
        var driver = RingDriver.Create(form, ram, size, eventIndex ? RingFeatures.EventIndex : 0);
        BareRing.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
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
                    while (queue.EnableKicksAndCheckForMore());
                }

                if (queue.IsBroken)
                {
                    deviceFailure ??= queue.BrokenReason;
                    return;
                }
            }
        });
        device.Start();

        ulong[] cells = new ulong[size];
        for (int i = 0; i < size; i++)
        {
            cells[i] = ram.Allocate(16);
        }

        long sent = 0;
        long received = 0;
        long[] sequenceOf = new long[size];
        var random = new Random(5);
        while (received < chains && deviceFailure is null)
        {
            int batch = random.Next(1, 8);
            while (batch-- > 0 && sent < chains && driver.FreeDescriptors >= 2)
            {
                ulong cell = cells[sent % size];
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
            while (driver.TryTakeUsed(out uint used, out uint length))
            {
                long sequence = sequenceOf[used];
                length.Should().Be(8);
                sequence.Should().Be(received);
                ram.Read<long>(cells[sequence % size] + 8).Should().Be(~sequence);
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

    [Fact]
    [Trait("Behaviour", "MEM-3")]
    public unsafe void A_descriptor_that_changes_while_it_is_looked_at_never_leads_outside_ram()
    {
        // Each half of a descriptor is read once: a guest that writes it all the time makes broken rings, not other chains than were checked.
        const ulong End = 1 << 20;
        using var ram = new GuestRam((0, End));
        using var interrupt = new CountingVector();
        var driver = new SplitRingDriver(ram, 4);
        ulong place = driver.Descriptors;
        bool stop = false;
        var guest = new Thread(() =>
        {
            for (uint i = 0; !Volatile.Read(ref stop); i++)
            {
                bool small = (i & 1) == 0;
                ram.Write(place, small ? End - 16 : 0x8000);
                ram.Write(place + 8, (small ? 16UL : 0x10000UL) | ((ulong)SplitRingDriver.Write << 32));
            }
        });
        driver.SetDescriptor(0, 0x8000, 16, SplitRingDriver.Write);
        guest.Start();
        var chain = new DescriptorChain();
        byte* start = ram.Pointer(0, End);
        int popped = 0;
        int broken = 0;
        // Goes on until both outcomes were seen often: who runs when is the scheduler's affair.
        long begun = System.Diagnostics.Stopwatch.GetTimestamp();
        for (int i = 0; (i < 5_000 || popped < 100 || broken < 100) && System.Diagnostics.Stopwatch.GetElapsedTime(begun).TotalSeconds < 60; i++)
        {
            driver.AvailableIndex = 0;
            driver.AddHead(0);
            driver.Publish();
            BareRing.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
            using (queue!.Enter())
            {
                if (queue.TryPop(chain))
                {
                    popped++;
                    chain.WritableLength.Should().BeOneOf(16, 0x10000);
                    foreach (Span<byte> piece in chain.Writable)
                    {
                        fixed (byte* first = piece)
                        {
                            (first >= start && first + piece.Length <= start + End).Should().BeTrue();
                        }
                    }
                }
                else
                {
                    broken++;
                    queue.BrokenReason.Should().Contain("not in RAM");
                }
            }
        }

        Volatile.Write(ref stop, true);
        guest.Join();
        popped.Should().BePositive();
        (popped + broken).Should().BeGreaterThanOrEqualTo(5_000);
    }

    [Fact]
    [Trait("Behaviour", "MEM-4")]
    public void Ram_is_not_taken_away_under_a_popped_chain()
    {
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        GuestMemoryRegion extra = ram.AddRegion(1UL << 32, 1 << 20);
        var driver = new SplitRingDriver(ram, 8);
        BareRing.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        driver.Add(Writable(1UL << 32, 1 << 20));
        driver.Publish();
        var chain = new DescriptorChain();
        using var removed = new ManualResetEventSlim();
        var remover = new Thread(() =>
        {
            ram.RemoveRegion(extra);
            removed.Set();
        });
        using (queue!.Enter())
        {
            queue.TryPop(chain).Should().BeTrue();
            remover.Start();
            removed.Wait(50).Should().BeFalse("the scope still uses it");
            chain.Writable.Fill(7);
            queue.Complete(chain, 1 << 20);
        }

        removed.Wait(10_000).Should().BeTrue();
        remover.Join();
        driver.Add(Writable(1UL << 32, 4));
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain("not in RAM");
    }

    [Fact]
    [Trait("Behaviour", "MEM-4")]
    public void Ram_comes_and_goes_while_a_queue_runs()
    {
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        var driver = new SplitRingDriver(ram, 8);
        BareRing.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        ulong data = ram.Allocate(4096);
        bool stop = false;
        long served = 0;
        var device = new Thread(() =>
        {
            var chain = new DescriptorChain();
            while (!Volatile.Read(ref stop))
            {
                using (queue!.Enter())
                {
                    while (queue.TryPop(chain))
                    {
                        chain.Writable.Fill(1);
                        queue.Complete(chain, (uint)chain.WritableLength);
                        Interlocked.Increment(ref served);
                    }
                }
            }
        });
        device.Start();
        for (int i = 0; i < 100; i++)
        {
            GuestMemoryRegion extra = ram.AddRegion(1UL << 32, 1 << 16);
            driver.Add(Writable((1UL << 32) + 100, 1000), Writable(data, 100));
            driver.Publish();
            Eventually.Holds(() => driver.HasUsed, "the device serves");
            driver.TryTakeUsed(out _, out uint length).Should().BeTrue();
            length.Should().Be(1100);
            ram.Read((1UL << 32) + 99, 3).Should().Equal(0, 1, 1);
            ram.RemoveRegion(extra);
        }

        Volatile.Write(ref stop, true);
        device.Join();
        served.Should().Be(100);
        queue!.IsBroken.Should().BeFalse(queue.BrokenReason);
    }
}
