using System;
using System.Buffers.Binary;
using System.Linq;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Tests.Virtio.Driver;

public sealed class DriverQueueTests
{
    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Submitting_and_completing_allocate_nothing(bool packed, bool indirect)
    {
        using QueueRig rig = new QueueRig(QueueRig.FeaturesOf(packed, indirect, true), 16).Start();
        IDmaBuffer memory = rig.Driver.MapBuffer(64);
        DriverSegment[] segments = [new(memory.Iova, 8, false), new(memory.Iova + 8, 8, true), new(memory.Iova + 16, 8, true)];
        long allocated = 0;
        for (int round = 0; round < 3000; round++)
        {
            rig.Access.Writes.Clear();
            long before = GC.GetAllocatedBytesForCurrentThread();
            rig.Queue.TrySubmit(segments);
            rig.Queue.TrySubmit(segments);
            rig.Queue.Notify();
            allocated += round < 200 ? 0 : GC.GetAllocatedBytesForCurrentThread() - before;
            rig.Serve().Should().Be(2);
            before = GC.GetAllocatedBytesForCurrentThread();
            bool complete = rig.Queue.TryComplete(out _, out _) & rig.Queue.TryComplete(out _, out _);
            rig.Queue.ArmInterrupt();
            rig.Queue.DisarmInterrupt();
            allocated += round < 200 ? 0 : GC.GetAllocatedBytesForCurrentThread() - before;
            complete.Should().BeTrue();
        }

        allocated.Should().Be(0);
    }

    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [InlineData(false)]
    [InlineData(true)]
    public void A_chain_may_be_as_long_as_the_queue_and_no_longer(bool packed)
    {
        using QueueRig rig = new QueueRig(QueueRig.FeaturesOf(packed, true, false), 8).Start(indirectSegments: 4);
        IDmaBuffer memory = rig.Driver.MapBuffer(8);
        DriverSegment[] nine = [.. Enumerable.Range(0, 9).Select(i => new DriverSegment(memory.Iova + (ulong)(i % 8), 1, i > 4))];
        rig.Queue.Invoking(q => q.TrySubmit(nine)).Should().Throw<ArgumentException>();
        rig.Queue.Invoking(q => q.TrySubmit(nine.AsSpan(0, 5), indirect: true)).Should().Throw<ArgumentException>();
        rig.Queue.Invoking(q => q.TrySubmit([])).Should().Throw<ArgumentException>();
        rig.Queue.Invoking(q => q.TrySubmit([nine[8], nine[0]])).Should().Throw<ArgumentException>("a readable one comes after a writable one");
        rig.Queue.Invoking(q => q.TrySubmit([nine[0] with { Length = 0 }])).Should().Throw<ArgumentException>();
        rig.Queue.FreeDescriptors.Should().Be(8);

        rig.Queue.TrySubmit(nine.AsSpan(0, 8)).Should().NotBeNull("what does not fit into a table is direct");
        rig.Queue.FreeDescriptors.Should().Be(0);
        rig.Queue.TrySubmit(nine.AsSpan(0, 1)).Should().BeNull("the queue is full");
        rig.Serve().Should().Be(1);
        rig.Queue.TryComplete(out _, out uint length).Should().BeTrue();
        length.Should().Be(3);
        for (int i = 0; i < 8; i++)
        {
            rig.Queue.TrySubmit(nine.AsSpan(3, 4)).Should().NotBeNull("a table takes one descriptor");
        }

        rig.Serve().Should().Be(8);
    }

    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void The_device_is_told_only_when_it_asked_for_it(bool packed, bool eventIndex)
    {
        using QueueRig rig = new QueueRig(QueueRig.FeaturesOf(packed, false, eventIndex), 16).Start();
        IDmaBuffer memory = rig.Driver.MapBuffer(8);
        DriverSegment[] segments = [new(memory.Iova, 8, false)];
        rig.Queue.TrySubmit(segments);
        rig.Queue.Notify().Should().BeTrue("a new ring asks for the first");
        for (int round = 0; round < 40; round++)
        {
            rig.Serve();
            while (rig.Queue.TryComplete(out _, out _))
            {
            }

            rig.Access.Writes.Clear();
            using (rig.Ring.Enter())
            {
                rig.Ring.DisableKicks();
            }

            rig.Queue.TrySubmit(segments);

            // With event indices the device does not withdraw what it asked for; it is past after the first.
            rig.Queue.Notify().Should().Be(eventIndex && !packed);
            rig.Queue.TrySubmit(segments);
            rig.Queue.Notify().Should().BeFalse();
            rig.Access.Writes.Should().HaveCount(eventIndex && !packed ? 1 : 0);
            rig.Queue.Kick();
            rig.Access.Writes.Should().HaveCount(eventIndex && !packed ? 2 : 1);
        }
    }

    [Theory]
    [Trait("Behaviour", "DRV-4")]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Interrupts_come_when_somebody_waits_and_not_else(bool packed, bool eventIndex)
    {
        using QueueRig rig = new QueueRig(QueueRig.FeaturesOf(packed, false, eventIndex), 16).Start();
        IDmaBuffer memory = rig.Driver.MapBuffer(8);
        DriverSegment[] segments = [new(memory.Iova, 8, true)];
        for (int i = 0; i < 70_000; i++)
        {
            Round(rig, segments);
        }

        rig.Queue.Interrupts.Should().Be(0, "not even when an event index comes round");
        for (int i = 0; i < 40; i++)
        {
            rig.Queue.ArmInterrupt().Should().BeTrue();
            rig.Queue.TrySubmit(segments);
            rig.Serve();
            rig.Queue.Interrupts.Should().Be(i + 1);
            rig.Queue.ArmInterrupt().Should().BeFalse("one has completed");
            rig.Queue.DisarmInterrupt();
            rig.Queue.TryComplete(out _, out _).Should().BeTrue();
            Round(rig, segments);
            rig.Queue.Interrupts.Should().Be(i + 1);
        }
    }

    [Theory]
    [Trait("Behaviour", "DRV-5")]
    [InlineData(false)]
    [InlineData(true)]
    public void Notification_data_names_the_next_place_with_its_wrap(bool packed)
    {
        ulong features = (packed ? RingFeatures.Packed : 0) | TransportFeatures.NotificationData;
        using QueueRig rig = new QueueRig(features, 4).Start();
        IDmaBuffer memory = rig.Driver.MapBuffer(8);
        for (uint i = 1; i <= 70_000; i++)
        {
            rig.Queue.TrySubmit([new(memory.Iova, 8, true)]);
            rig.Access.Writes.Clear();
            rig.Queue.Kick();
            uint place = packed ? (i % 4) | (i / 4 % 2 == 0 ? 0x8000u : 0) : i & 0xffff;
            if (rig.Access.Writes is not [(_, 4, ulong value)] || value != (ulong)place << 16)
            {
                rig.Access.Writes.Should().Equal([(0UL, 4, (ulong)place << 16)], "of notification {0}", i);
            }

            rig.Serve();
            rig.Queue.TryComplete(out _, out _).Should().BeTrue();
        }
    }

    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [InlineData(false)]
    [InlineData(true)]
    public void A_batch_in_order_is_taken_from_its_last_element(bool packed)
    {
        using QueueRig rig = new QueueRig((packed ? RingFeatures.Packed : 0) | RingFeatures.InOrder, 8).Start();
        IDmaBuffer memory = rig.Driver.MapBuffer(64);
        var random = new Random(3);
        int place = 0;
        bool wrap = true;
        ushort usedIndex = 0;
        for (int round = 0; round < 40_000; round++)
        {
            // Chains of one or two descriptors with known room, then one used element for all of them.
            int count = random.Next(1, 5);
            int[] tokens = new int[count];
            int slots = 0;
            for (int i = 0; i < count; i++)
            {
                bool two = (round + i) % 3 == 0;
                slots += two ? 2 : 1;
                DriverSegment[] segments = [new(memory.Iova, 4, two is false), new(memory.Iova + 8, (uint)(i + 1), true)];
                tokens[i] = rig.Queue.TrySubmit(segments.AsSpan(0, two ? 2 : 1))!.Value;
            }

            if (packed)
            {
                Span<byte> descriptor = rig.DescriptorArea.Slice(place * 16, 16);
                BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], 1);
                BinaryPrimitives.WriteUInt16LittleEndian(descriptor[12..], (ushort)tokens[^1]);
                BinaryPrimitives.WriteUInt16LittleEndian(descriptor[14..], (ushort)(2 | (wrap ? 0x8080 : 0)));
                place += slots;
                (place, wrap) = place >= 8 ? (place - 8, !wrap) : (place, wrap);
            }
            else
            {
                Span<byte> element = rig.DeviceArea.Slice(4 + (usedIndex % 8 * 8), 8);
                BinaryPrimitives.WriteUInt32LittleEndian(element, (uint)tokens[^1]);
                BinaryPrimitives.WriteUInt32LittleEndian(element[4..], 1);
                usedIndex += (ushort)count;
                BinaryPrimitives.WriteUInt16LittleEndian(rig.DeviceArea[2..], usedIndex);
            }

            for (int i = 0; i < count; i++)
            {
                rig.Queue.TryComplete(out int token, out uint length).Should().BeTrue();
                token.Should().Be(tokens[i]);
                bool two = (round + i) % 3 == 0;
                length.Should().Be(i == count - 1 ? 1u : two ? (uint)(i + 1) : 4u, "what a batch passes over was used whole");
            }

            rig.Queue.TryComplete(out _, out _).Should().BeFalse();
        }
    }

    [Fact]
    [Trait("Behaviour", "DRV-1")]
    public void In_order_descriptors_follow_each_other_in_the_table()
    {
        using QueueRig rig = new QueueRig(RingFeatures.InOrder, 8).Start();
        IDmaBuffer memory = rig.Driver.MapBuffer(8);
        DriverSegment[] segments = [new(memory.Iova, 1, false), new(memory.Iova, 1, false), new(memory.Iova, 1, true)];
        for (int i = 0; i < 20; i++)
        {
            rig.Queue.TrySubmit(segments).Should().Be(i * 3 % 8);
            for (int link = 0; link < 2; link++)
            {
                int at = ((i * 3) + link) % 8;
                BinaryPrimitives.ReadUInt16LittleEndian(rig.DescriptorArea[((at * 16) + 14)..]).Should().Be((ushort)((at + 1) % 8));
            }

            rig.Serve();
            rig.Queue.TryComplete(out _, out _).Should().BeTrue();
        }
    }

    private static void Round(QueueRig rig, DriverSegment[] segments)
    {
        rig.Queue.TrySubmit(segments);
        rig.Serve();
        if (!rig.Queue.TryComplete(out _, out _))
        {
            throw new InvalidOperationException("a request was lost");
        }
    }
}
