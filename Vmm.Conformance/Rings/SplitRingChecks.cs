using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Vmm.Conformance.Driving;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;

namespace Vmm.Conformance.Rings;

/// <summary>What is particular to split virtqueues (virtio 1.2, 2.7).</summary>
internal static class SplitRingChecks
{
    private const ulong EventIndex = RingFeatures.EventIndex;
    private const ulong Indirect = RingFeatures.IndirectDescriptors;
    private const int DescriptorSize = 16;

    public static CheckGroup Group { get; } = new("split virtqueues: tables and flags", "virtio 1.2")
    {
        { "RING-TABLE", "2.7.5.1", "The device writes no descriptor", Table, Need.Work },
        { "RING-AVAILABLE", "2.7.6", "The device does not write the available ring", Available, Need.Work },
        { "RING-FLAGS", "2.7.10.2", "Without event indices the flags of the used ring are 0 or 1", Flags, Need.Work },
        { "RING-EVENT-FLAGS", "2.7.10.2", "With event indices the flags of the used ring are 0", EventFlags, Need.Work, EventIndex },
        { "RING-EVENT-IGNORES-FLAGS", "2.7.7.2", "With event indices NO_INTERRUPT is ignored", EventIgnoresFlags, Need.Work | Need.Msix, EventIndex },
        { "RING-EVENT-LATER", "2.7.7.2", "An interrupt comes with the fourth buffer if the event index says so", EventLater, Need.Work | Need.Msix, EventIndex },
        { "RING-FLAGS-IGNORE-EVENT", "2.7.7.2", "Without event indices used_event is ignored", FlagsIgnoreEvent, Need.Work | Need.Msix },
        { "RING-INDIRECT-WRITE", "2.7.5.3.2", "WRITE is ignored in a descriptor that refers to a table", IndirectWrite, Need.Work, Indirect },
        { "RING-INDIRECT-AFTER", "2.7.5.3.2", "A table may come after plain descriptors of its chain", IndirectAfter, Need.Work, Indirect },
    };

    private static void Table(CheckContext check)
    {
        var scene = RingFixture.Start(check, 0);
        Unchanged(check, scene, () => scene.DescriptorArea[..(scene.Queue.Size * DescriptorSize)].ToArray(), "the descriptor table");
    }

    private static void Available(CheckContext check)
    {
        var scene = RingFixture.Start(check, 0);
        Unchanged(check, scene, () => scene.DriverArea[..(4 + (2 * scene.Queue.Size))].ToArray(), "the available ring");
    }

    private static void Unchanged(CheckContext check, RingFixture scene, Func<byte[]> read, string what)
    {
        for (int i = 0; i < 20; i++)
        {
            scene.Ask();
            byte[] before = read();
            scene.Queue.Notify();
            scene.AwaitDone();
            check.Require(before.AsSpan().SequenceEqual(read()), $"{what} as the driver wrote it", "other bytes");
        }
    }

    private static void Flags(CheckContext check)
    {
        var scene = RingFixture.Start(check, 0);
        FlagsStay(check, scene, 1);
    }

    private static void EventFlags(CheckContext check)
    {
        var scene = RingFixture.Start(check, EventIndex);
        FlagsStay(check, scene, 0);
    }

    private static void FlagsStay(CheckContext check, RingFixture scene, ushort most)
    {
        for (int i = 0; i < 50; i++)
        {
            scene.Do();
            ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(scene.DeviceArea);
            check.Require(flags <= most, $"flags of the used ring at most {most}", CheckContext.Hex(flags));
        }
    }

    private static void EventIgnoresFlags(CheckContext check)
    {
        var scene = RingFixture.Start(check, EventIndex, completion: CompletionMode.Messages);
        BinaryPrimitives.WriteUInt16LittleEndian(scene.DriverArea, 1);
        scene.Queue.ArmInterrupt();
        ExpectInterrupt(check, scene, 1);
    }

    private static void EventLater(CheckContext check)
    {
        var scene = RingFixture.Start(check, EventIndex, completion: CompletionMode.Messages);
        BinaryPrimitives.WriteUInt16LittleEndian(scene.DriverArea[(4 + (2 * scene.Queue.Size))..], 3);
        ExpectInterrupt(check, scene, 4);
    }

    private static void FlagsIgnoreEvent(CheckContext check)
    {
        var scene = RingFixture.Start(check, 0, completion: CompletionMode.Messages);
        BinaryPrimitives.WriteUInt16LittleEndian(scene.DriverArea[(4 + (2 * scene.Queue.Size))..], 0x7000);
        scene.Queue.ArmInterrupt();
        ExpectInterrupt(check, scene, 1);
    }

    private static void ExpectInterrupt(CheckContext check, RingFixture scene, int requests)
    {
        for (int i = 0; i < requests; i++)
        {
            scene.Ask();
            scene.Queue.Notify();

            // By looking only: a wait would ask for an interrupt.
            check.Await(scene.Queue.HasCompletion, "the buffer used", static () => "it is not");
            scene.TryTake();
        }

        check.Await(() => scene.Queue.Interrupts != 0, "an interrupt", static () => "none");
    }

    private static void IndirectWrite(CheckContext check)
    {
        var scene = RingFixture.Start(check, Indirect);
        for (int i = 0; i < 20; i++)
        {
            scene.TryAsk(indirect: true);
            scene.DescriptorArea[(scene.LastToken * DescriptorSize) + 12] |= 2;
            scene.Queue.Notify();
            scene.AwaitDone();
        }
    }

    private static void IndirectAfter(CheckContext check)
    {
        const int Place = 2048;
        var driver = new RawDriver(check);
        driver.Negotiate(Indirect);
        RawQueue queue = driver.SetUpQueue(check.Work.Queue);
        driver.Start();
        List<DriverSegment> pieces = Pieces(check, queue);
        Span<byte> table = queue.Data[Place..];
        for (int i = 1; i < pieces.Count; i++)
        {
            bool last = i == pieces.Count - 1;
            Span<byte> entry = table.Slice((i - 1) * DescriptorSize, DescriptorSize);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, pieces[i].Iova);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], pieces[i].Length);
            BinaryPrimitives.WriteUInt16LittleEndian(entry[12..], (ushort)((last ? 0 : 1) | (pieces[i].DeviceWrites ? 2 : 0)));
            BinaryPrimitives.WriteUInt16LittleEndian(entry[14..], (ushort)(last ? 0 : i));
        }

        queue.SetDescriptor(0, pieces[0].Iova, pieces[0].Length, (ushort)(1 | (pieces[0].DeviceWrites ? 2 : 0)), 1);
        queue.SetDescriptor(1, queue.DataAddress + Place, (uint)((pieces.Count - 1) * DescriptorSize), 4, 0);
        queue.Publish(0);
        driver.Notify(queue);
        check.Await(() => queue.UsedIndex == 1, "the buffer used", () => $"used index {queue.UsedIndex}, device_status {driver.Status}");
        check.Equal("id of the used element", 0, queue.GetUsed(0).Id);
    }

    private static List<DriverSegment> Pieces(CheckContext check, RawQueue queue)
    {
        check.Work.Prepare(queue.Data);
        List<DriverSegment> pieces = check.Work.Pieces(queue.DataAddress, int.MaxValue);
        if (pieces is [{ Length: > 1 } only])
        {
            return [only with { Length = 1 }, only with { Iova = only.Iova + 1, Length = only.Length - 1 }];
        }

        return pieces.Count > 1 ? pieces : throw new CheckSkippedException("the request is one byte");
    }
}
