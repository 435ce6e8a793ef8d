using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Virtio.Driver;

/// <summary>Many chains past the wrap of every index, with a digest of what both sides saw.</summary>
[Trait("Category", "Long")]
public sealed class LongRunTests
{
    private const int Piece = 8;

    public static TheoryData<bool, bool, bool, ushort> Forms
    {
        get
        {
            var forms = new TheoryData<bool, bool, bool, ushort>();
            foreach (bool packed in new[] { false, true })
            {
                foreach (bool indirect in new[] { false, true })
                {
                    foreach (bool eventIndex in new[] { false, true })
                    {
                        forms.Add(packed, indirect, eventIndex, 64);
                    }
                }
            }

            forms.Add(true, true, true, 63);
            forms.Add(true, false, true, 5);
            forms.Add(false, true, true, 1);
            forms.Add(true, false, false, 1);
            return forms;
        }
    }

    private static int Chains => Soak.On ? 4_000_000 : 250_000;

    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [MemberData(nameof(Forms))]
    public void Chains_of_any_form_complete_in_any_order_and_nothing_is_lost(bool packed, bool indirect, bool eventIndex, ushort size)
    {
        using QueueRig rig = new QueueRig(QueueRig.FeaturesOf(packed, indirect, eventIndex), 64).Start(size);
        DriverQueue queue = rig.Queue;
        queue.Size.Should().Be(size);
        IDmaBuffer memory = rig.Driver.MapBuffer(size * 2 * Piece);
        var device = new OutOfOrderDevice(rig.Ring, seed: size);
        var random = new Random(1);
        ulong next = 0;
        ulong digest = 0;
        ulong expected = 0;
        for (ulong i = 0; i < (ulong)Chains; i++)
        {
            expected += Answer(i) * ((i * 2) + 1);
        }

        // What is outstanding is named by its token; its memory is that of the slot.
        var slots = new Stack<int>();
        for (int i = 0; i < size; i++)
        {
            slots.Push(i);
        }

        int[] slotOf = new int[size];
        ulong[] numberOf = new ulong[size];
        var segments = new DriverSegment[2];
        int outstanding = 0;
        int completed = 0;
        while (completed < Chains)
        {
            for (int burst = random.Next(1, 6); burst > 0 && next < (ulong)Chains && slots.Count > 0; burst--)
            {
                int slot = slots.Peek();
                ulong at = memory.Iova + ((ulong)slot * 2 * Piece);
                BinaryPrimitives.WriteUInt64LittleEndian(memory.Span[(slot * 2 * Piece)..], next);

                // A queue of one descriptor carries requests of one buffer: then the device only writes.
                segments[0] = new DriverSegment(at, Piece, size == 1);
                segments[1] = new DriverSegment(at + Piece, Piece, true);
                ReadOnlySpan<DriverSegment> request = segments.AsSpan(0, size == 1 ? 1 : 2);
                int? token = indirect && size == 1 ? queue.TrySubmit(request, indirect: true) : queue.TrySubmit(request);
                if (token is null)
                {
                    break;
                }

                slotOf[token.Value] = slots.Pop();
                numberOf[token.Value] = next++;
                outstanding++;
            }

            queue.Notify();
            device.Serve();
            while (queue.TryComplete(out int token, out uint length))
            {
                if (length != Piece)
                {
                    length.Should().Be(Piece);
                }

                int slot = slotOf[token];
                ulong answer = BinaryPrimitives.ReadUInt64LittleEndian(memory.Span[((slot * 2 * Piece) + (size == 1 ? 0 : Piece))..]);
                digest += (size == 1 ? Answer(answer) : answer) * ((numberOf[token] * 2) + 1);
                slots.Push(slot);
                outstanding--;
                completed++;
            }
        }

        digest.Should().Be(expected);
        outstanding.Should().Be(0);
        queue.FreeDescriptors.Should().Be(size);
        rig.Ring.BrokenReason.Should().BeNull();
        queue.Interrupts.Should().Be(0, "nobody waited for one");
    }

    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [Trait("Behaviour", "DRV-4")]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void With_a_device_on_a_thread_of_its_own_no_completion_and_no_interrupt_is_missed(bool packed, bool eventIndex)
    {
        using var disk = new DriverDisk(new Vmm.Virtio.Transport.VirtioPciOptions { PackedRing = true });
        using var driver = VirtioBlockDriver.Open(disk, new VirtioDriverOptions { RequiredFeatures = QueueRig.FeaturesOf(packed, true, eventIndex) });
        byte[] content = disk.File.Content;
        byte[] read = new byte[512];
        for (int i = 0; i < 3000; i++)
        {
            driver.Read((ulong)i % 512, read);
            read.AsSpan().SequenceEqual(content.AsSpan(i % 512 * 512, 512)).Should().BeTrue();
        }

        driver.Driver.Queues[0].Interrupts.Should().BeGreaterThan(0);
    }

    private static ulong Answer(ulong question) => (question ^ 0x9e37_79b9_7f4a_7c15) * 0xff51_afd7_ed55_8ccd;

    /// <summary>Keeps some chains for later and completes the rest in any order.</summary>
    private sealed class OutOfOrderDevice(Virtqueue ring, int seed)
    {
        private readonly Random _random = new(seed);
        private readonly List<DescriptorChain> _held = [];
        private readonly Stack<DescriptorChain> _free = new();

        public void Serve()
        {
            using (ring.Enter())
            {
                ring.DisableKicks();
                while (true)
                {
                    DescriptorChain chain = _free.Count > 0 ? _free.Pop() : new DescriptorChain(2);
                    if (!ring.TryPop(chain))
                    {
                        _free.Push(chain);
                        break;
                    }

                    Execute(chain);
                    _held.Add(chain);
                }

                for (int count = _random.Next(1, _held.Count + 1); count > 0 && _held.Count > 0; count--)
                {
                    int which = _random.Next(_held.Count);
                    DescriptorChain done = _held[which];
                    _held[which] = _held[^1];
                    _held.RemoveAt(_held.Count - 1);
                    ring.Complete(done, Piece);
                    _free.Push(done);
                }

                ring.SignalIfNeeded();
                ring.EnableKicksAndCheckForMore();
            }
        }

        private static void Execute(DescriptorChain chain)
        {
            Span<byte> question = stackalloc byte[Piece];
            if (chain.Readable.CopyTo(question) == Piece)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(question, Answer(BinaryPrimitives.ReadUInt64LittleEndian(question)));
                chain.Writable.CopyFrom(question);
            }
        }
    }
}
