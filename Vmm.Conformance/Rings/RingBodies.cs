using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Conformance.Rings;

/// <summary>What is asked of rings of either kind; the kind is a feature.</summary>
internal static class RingBodies
{
    private const int Few = 200;

    public static void Used(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring);
        scene.DoMany(Few * 4, 16);
    }

    public static void Once(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring);
        scene.DoMany(Few, 8);
        check.Never(scene.Queue.HasCompletion, "each buffer used once", static () => "a used buffer that was not made available");
    }

    public static void Wrap(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring);
        scene.DoMany(66_000, 32, mayBeSlow: true);
    }

    public static void Several(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring);
        for (int round = 0; round < 20; round++)
        {
            while (scene.TryAsk())
            {
            }

            scene.Queue.Notify();
            scene.AwaitDone();
        }
    }

    public static void Indirect(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring | RingFeatures.IndirectDescriptors);
        for (int i = 0; i < Few; i++)
        {
            // A table of its own and plain descriptors by turns.
            scene.TryAsk(indirect: i % 3 != 0);
            scene.Queue.Notify();
            scene.AwaitDone();
        }
    }

    public static void Framing(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring);
        if (scene.Queue.Size < 8)
        {
            check.Skip("the queue has fewer than 8 descriptors");
        }

        scene.Cut = static pieces => [.. pieces.SelectMany(static piece => piece.Length < 3
            ? [piece]
            : new[] { piece with { Length = 1 }, piece with { Iova = piece.Iova + 1, Length = piece.Length - 1 } })];
        scene.DoMany(20, 1);

        // Header or data in one with what follows it, where that goes the same way.
        scene.Cut = static pieces => [.. Joined(pieces)];
        scene.DoMany(20, 1);
    }

    public static void LongChain(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring);
        scene.Cut = pieces => Stretch(pieces, scene.Queue.Size);
        scene.DoMany(3, 1);
    }

    public static void Smallest(CheckContext check, ulong ring)
    {
        int size = check.Work.LeastDescriptors;
        var scene = RingFixture.Start(check, ring, size);
        check.Equal("queue_size", (uint)size, (uint)scene.Queue.Size);
        scene.DoMany(Few, 1);
    }

    public static void Largest(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring, Virtqueue.MaximumSize);
        scene.DoMany(Math.Min(scene.Queue.Size * 3, 20_000), 64, mayBeSlow: true);
    }

    public static void InOrder(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring | RingFeatures.InOrder);
        scene.DoMany(Few * 4, 16);
    }

    public static void Told(CheckContext check, ulong features)
    {
        var scene = RingFixture.Start(check, features, completion: CompletionMode.Messages);
        for (int i = 0; i < 20; i++)
        {
            long before = scene.Queue.Interrupts;
            while (!scene.Queue.ArmInterrupt())
            {
                scene.TryTake();
            }

            scene.Ask();
            scene.Queue.Notify();
            check.Await(() => scene.Queue.Interrupts > before, "an interrupt for the buffer that was asked for", static () => "none");
            scene.Queue.DisarmInterrupt();
            scene.AwaitDone();
        }
    }

    public static void Quiet(CheckContext check, ulong features)
    {
        var scene = RingFixture.Start(check, features, completion: CompletionMode.Messages);
        for (int i = 0; i < 20; i++)
        {
            scene.Ask();
            scene.Queue.Notify();

            // By looking only: a wait would ask for the interrupt.
            check.Await(scene.Queue.HasCompletion, "the buffer used", static () => "it is not");
            scene.TryTake();
        }

        check.Never(() => scene.Queue.Interrupts != 0, "no interrupt that was not asked for", () => $"{scene.Queue.Interrupts}");
    }

    public static void Kicks(CheckContext check, ulong features)
    {
        var scene = RingFixture.Start(check, features);
        for (int round = 0; round < Few * 2; round++)
        {
            for (int burst = round % 5; burst >= 0 && scene.TryAsk(); burst--)
            {
            }

            scene.Queue.Notify();
            scene.AwaitDone();
        }
    }

    public static void ReadableKept(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring);
        if (check.Work.Request.IsEmpty)
        {
            check.Skip("the device is given nothing to read");
        }

        var places = new List<DriverSegment>();
        scene.Cut = pieces =>
        {
            places.AddRange(pieces.Where(static piece => !piece.DeviceWrites));
            return [.. pieces];
        };
        scene.Ask();
        byte[] before = scene.Copy(places[0]);
        scene.Queue.Notify();
        scene.AwaitDone();
        check.Require(before.AsSpan().SequenceEqual(scene.Copy(places[0])), "a device-readable buffer as it was", "other bytes");
    }

    public static void WritableOnly(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring);
        var places = new List<DriverSegment>();
        scene.Cut = pieces =>
        {
            places.Clear();
            places.AddRange(pieces);
            return [.. pieces];
        };
        scene.Ask();
        DriverSegment last = places[^1];
        var behind = new DriverSegment(last.Iova + last.Length, 32, true);
        scene.Fill(behind, 0xa5);
        scene.Queue.Notify();
        scene.AwaitDone();
        check.Require(scene.Copy(behind).AsSpan().IndexOfAnyExcept((byte)0xa5) < 0, "nothing written behind a buffer", "other bytes");
    }

    public static void Reset(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring | TransportFeatures.RingReset);
        foreach (int size in new[] { 64, 16, 8, 4 })
        {
            scene.DoMany(50, 2);
            scene.Driver.ResetQueue(scene.Queue);
            scene.Replace(scene.Driver.EnableQueue(new DriverQueueOptions(scene.Queue.Index) { MaximumSize = size }));
            scene.DoMany(50, 2);
        }
    }

    public static void NotificationData(CheckContext check, ulong ring)
    {
        var scene = RingFixture.Start(check, ring | TransportFeatures.NotificationData);
        scene.DoMany(Few * 4, 4);
    }

    private static List<DriverSegment> Joined(IReadOnlyList<DriverSegment> pieces)
    {
        var joined = new List<DriverSegment>();
        foreach (DriverSegment piece in pieces)
        {
            if (joined.Count > 0 && joined[^1] is var last && last.DeviceWrites == piece.DeviceWrites && last.Iova + last.Length == piece.Iova)
            {
                joined[^1] = last with { Length = last.Length + piece.Length };
            }
            else
            {
                joined.Add(piece);
            }
        }

        return joined;
    }

    /// <summary>Cuts the longest piece into as many as there are descriptors for.</summary>
    private static DriverSegment[] Stretch(IReadOnlyList<DriverSegment> pieces, int descriptors)
    {
        DriverSegment longest = pieces.MaxBy(static piece => piece.Length);
        int parts = Math.Min(descriptors - pieces.Count + 1, (int)longest.Length);
        return [.. pieces.SelectMany(piece => piece != longest
            ? [piece]
            : Enumerable.Range(0, parts).Select(
                i => piece with { Iova = piece.Iova + (ulong)i, Length = i == parts - 1 ? piece.Length - (uint)i : 1 }))];
    }
}
