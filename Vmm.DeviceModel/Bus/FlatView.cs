using System;
using System.Collections.Generic;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Vmm.DeviceModel.Bus;

/// <summary>The flattened claims of an address space with an index over them. Immutable but for <see cref="ReplaceHandler"/>.</summary>
/// <remarks>
/// <para>The segments cover every 64-bit address, gaps included, so that a look-up always has an answer. An open-addressing hash table leads from a
/// granule (a page; 8 ports) to the first segment in it; segments too large to have all their granules in the table are found by a
/// binary search among the few of their kind. So a look-up costs the same for one range and for a thousand.</para>
/// </remarks>
internal sealed class FlatView
{
    private const ulong NoGranule = ulong.MaxValue;
    private const ulong LargestListed = 1024;
    private const int FewInGranule = 8;

    private readonly FlatSegment[] _segments;
    private readonly GranuleEntry[] _table;
    private readonly ulong[] _largeStarts;
    private readonly int[] _largeIndexes;
    private readonly int _granuleShift;
    private readonly int _hashShift;
    private IReadOnlyList<AddressSpaceSegment>? _public;

    /// <summary>Indexes the segments.</summary>
    /// <param name="segments">Sorted, without holes, from 0 to 2^64 - 1.</param>
    /// <param name="granuleShift">log2 of the granule, at least 1.</param>
    public FlatView(FlatSegment[] segments, int granuleShift)
    {
        _segments = segments;
        _granuleShift = granuleShift;
        bool[] isLarge = ChooseLarge(segments, granuleShift, out int granules);
        int size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(8, granules * 2));
        _hashShift = 64 - BitOperations.Log2((uint)size);
        _table = new GranuleEntry[size];
        Array.Fill(_table, new GranuleEntry { Granule = NoGranule });
        var largeStarts = new List<ulong>();
        var largeIndexes = new List<int>();
        for (int i = 0; i < segments.Length; i++)
        {
            if (isLarge[i])
            {
                largeStarts.Add(segments[i].Start);
                largeIndexes.Add(i);
            }
            else
            {
                for (ulong granule = segments[i].Start >> granuleShift; granule <= segments[i].Last >> granuleShift; granule++)
                {
                    List(granule);
                }
            }
        }

        _largeStarts = largeStarts.ToArray();
        _largeIndexes = largeIndexes.ToArray();
    }

    /// <summary>All segments, gaps included.</summary>
    public ReadOnlySpan<FlatSegment> All => _segments;

    /// <summary>The claimed segments, as the space shows them.</summary>
    public IReadOnlyList<AddressSpaceSegment> Claimed => _public ??= ListClaimed();

    /// <summary>The segment that an address lies in.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref FlatSegment Find(ulong address)
    {
        ulong granule = address >> _granuleShift;
        GranuleEntry[] table = _table;
        uint slot = Hash(granule);
        while (true)
        {
            ref readonly GranuleEntry entry = ref table[slot];
            if (entry.Granule == granule)
            {
                ref FlatSegment segment = ref _segments[entry.First];
                return ref address <= segment.Last ? ref segment : ref FindFurther(address, entry.First, entry.Count);
            }

            if (entry.Granule == NoGranule)
            {
                return ref FindLarge(address);
            }

            slot = (slot + 1) & (uint)(table.Length - 1);
        }
    }

    /// <summary>Lets another handler answer for a claim wherever it is visible. Concurrent accesses see either.</summary>
    public void ReplaceHandler(Claim claim, IRegionHandler handler)
    {
        foreach (ref FlatSegment segment in _segments.AsSpan())
        {
            if (ReferenceEquals(segment.Claim, claim))
            {
                segment.Handler = handler;
            }
        }
    }

    /// <summary>Marks the segments whose granules are not listed. The small ones are listed first, so that the table stays in proportion.</summary>
    private static bool[] ChooseLarge(FlatSegment[] segments, int granuleShift, out int granules)
    {
        var isLarge = new bool[segments.Length];
        var order = new (ulong Granules, int Index)[segments.Length];
        for (int i = 0; i < segments.Length; i++)
        {
            order[i] = ((segments[i].Last >> granuleShift) - (segments[i].Start >> granuleShift) + 1, i);
        }

        Array.Sort(order);
        ulong budget = ((ulong)segments.Length * 4) + LargestListed;
        ulong listed = 0;
        foreach ((ulong wanted, int index) in order)
        {
            if (wanted <= LargestListed && listed + wanted <= budget)
            {
                listed += wanted;
            }
            else
            {
                isLarge[index] = true;
            }
        }

        granules = (int)listed;
        return isLarge;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint Hash(ulong granule)
    {
        // Fibonacci hashing: neighbouring pages, the usual case for BARs, spread evenly.
        return (uint)((granule * 0x9E37_79B9_7F4A_7C15) >> _hashShift);
    }

    private void List(ulong granule)
    {
        uint slot = Hash(granule);
        while (_table[slot].Granule != NoGranule)
        {
            if (_table[slot].Granule == granule)
            {
                return;
            }

            slot = (slot + 1) & (uint)(_table.Length - 1);
        }

        ulong first = granule << _granuleShift;
        ulong last = first | ((1UL << _granuleShift) - 1);
        int from = Predecessor(first, 0, _segments.Length);
        int to = Predecessor(last, from, _segments.Length - from);
        _table[slot] = new GranuleEntry { Granule = granule, First = from, Count = to - from + 1 };
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private ref FlatSegment FindFurther(ulong address, int first, int count)
    {
        FlatSegment[] segments = _segments;
        if (count > FewInGranule)
        {
            return ref segments[Predecessor(address, first, count)];
        }

        do
        {
            first++;
        }
        while (segments[first].Last < address);
        return ref segments[first];
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private ref FlatSegment FindLarge(ulong address)
    {
        // The first large segment may start above the address only if a listed one holds it, and then we are not here.
        ulong[] starts = _largeStarts;
        int low = 0;
        int count = starts.Length;
        while (count > 1)
        {
            int half = count >> 1;
            low = starts[low + half] <= address ? low + half : low;
            count -= half;
        }

        return ref _segments[_largeIndexes[low]];
    }

    private int Predecessor(ulong address, int first, int count)
    {
        while (count > 1)
        {
            int half = count >> 1;
            first = _segments[first + half].Start <= address ? first + half : first;
            count -= half;
        }

        return first;
    }

    private AddressSpaceSegment[] ListClaimed()
    {
        var claimed = new List<AddressSpaceSegment>();
        foreach (ref readonly FlatSegment segment in _segments.AsSpan())
        {
            if (segment.Claim != null)
            {
                claimed.Add(new AddressSpaceSegment(segment.Start, segment.Last, segment.Claim, segment.Start - segment.Base));
            }
        }

        return claimed.ToArray();
    }

    private struct GranuleEntry
    {
        public ulong Granule;
        public int First;
        public int Count;
    }
}
