using System;
using System.Collections.Generic;

namespace Vmm.DeviceModel.Bus;

/// <summary>Flattens claims by priority and age into the segments of a <see cref="FlatView"/> (BUS-7).</summary>
internal static class FlatViewBuilder
{
    /// <summary>Flattens: for each address the claim of the highest priority, among equals the youngest.</summary>
    /// <param name="placements">Claims and where they are; doorbells are left out by the caller.</param>
    /// <param name="limit">Last address of the space; what lies above is a gap.</param>
    /// <param name="gapCounter">Where accesses to gaps are counted.</param>
    /// <returns>Segments from 0 to 2^64 - 1 without holes.</returns>
    public static FlatSegment[] Flatten(IEnumerable<KeyValuePair<Claim, Placement>> placements, ulong limit, int gapCounter)
    {
        var sorted = new List<(ulong Start, ulong Last, Claim Claim, Placement Placement)>();
        var points = new SortedSet<ulong> { 0 };
        foreach ((Claim claim, Placement placement) in placements)
        {
            if (placement.Base > limit)
            {
                continue;
            }

            ulong last = placement.Base + (claim.Length - 1);
            last = Math.Min(last, limit);
            sorted.Add((placement.Base, last, claim, placement));
            points.Add(placement.Base);
            if (last != ulong.MaxValue)
            {
                points.Add(last + 1);
            }
        }

        sorted.Sort(static (a, b) => a.Start.CompareTo(b.Start));
        ulong[] bounds = new ulong[points.Count];
        points.CopyTo(bounds);
        var segments = new List<FlatSegment>(bounds.Length);
        var open = new PriorityQueue<int, (int Priority, ulong Sequence)>(StrongestFirst.Instance);
        int next = 0;
        for (int i = 0; i < bounds.Length; i++)
        {
            ulong start = bounds[i];
            ulong last = i + 1 < bounds.Length ? bounds[i + 1] - 1 : ulong.MaxValue;
            for (; next < sorted.Count && sorted[next].Start == start; next++)
            {
                open.Enqueue(next, (sorted[next].Claim.Priority, sorted[next].Placement.Sequence));
            }

            while (open.TryPeek(out int over, out _) && sorted[over].Last < start)
            {
                open.Dequeue();
            }

            FlatSegment segment = open.TryPeek(out int winner, out _)
                ? MakeSegment(sorted[winner].Claim, sorted[winner].Placement.Base)
                : new FlatSegment { Counter = gapCounter };
            segment.Start = start;
            segment.Last = last;
            Append(segments, segment);
        }

        foreach (FlatSegment segment in segments)
        {
            segment.Finish();
        }

        return segments.ToArray();
    }

    private static FlatSegment MakeSegment(Claim claim, ulong baseAddress)
    {
        return new FlatSegment
        {
            Base = baseAddress,
            Claim = claim,
            Handler = claim.Space!.HandlerOf(claim),
            Counter = claim.CounterPosition,
            Space = claim.Space,
        };
    }

    private static void Append(List<FlatSegment> segments, FlatSegment segment)
    {
        if (segments.Count > 0)
        {
            FlatSegment previous = segments[^1];
            if (ReferenceEquals(previous.Claim, segment.Claim))
            {
                previous.Last = segment.Last;
                return;
            }

            previous.Next = segment;
        }

        segments.Add(segment);
    }

    private sealed class StrongestFirst : IComparer<(int Priority, ulong Sequence)>
    {
        public static readonly StrongestFirst Instance = new();

        public int Compare((int Priority, ulong Sequence) x, (int Priority, ulong Sequence) y)
        {
            int byPriority = y.Priority.CompareTo(x.Priority);
            return byPriority != 0 ? byPriority : y.Sequence.CompareTo(x.Sequence);
        }
    }
}
