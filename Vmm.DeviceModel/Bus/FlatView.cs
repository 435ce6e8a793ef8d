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
    private readonly FlatSegment[] _large;
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
        var large = new List<FlatSegment>();
        for (int i = 0; i < segments.Length; i++)
        {
            if (isLarge[i])
            {
                large.Add(segments[i]);
            }
            else
            {
                for (ulong granule = segments[i].Start >> granuleShift; granule <= segments[i].Last >> granuleShift; granule++)
                {
                    List(granule);
                }
            }
        }

        _large = large.ToArray();
    }

    /// <summary>All segments, gaps included.</summary>
    public ReadOnlySpan<FlatSegment> All => _segments;

    /// <summary>The claimed segments, as the space shows them.</summary>
    public IReadOnlyList<AddressSpaceSegment> Claimed => _public ??= ListClaimed();

    /// <summary>The first segment in the granule of an address, which nearly always is the one that is wanted.</summary>
    /// <returns>Null if a single probe does not tell.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public FlatSegment? Probe(ulong address)
    {
        ulong granule = address >> _granuleShift;
        GranuleEntry[] table = _table;
        uint slot = Hash(granule);
        return slot < (uint)table.Length && table[slot].Granule == granule ? table[slot].First : null;
    }

    /// <summary>The segment that an address lies in.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public FlatSegment Find(ulong address)
    {
        ulong granule = address >> _granuleShift;
        GranuleEntry[] table = _table;
        uint slot = Hash(granule);
        while (table[slot].Granule != granule)
        {
            if (table[slot].Granule == NoGranule)
            {
                return Search(_large, address);
            }

            slot = (slot + 1) & (uint)(table.Length - 1);
        }

        FlatSegment segment = table[slot].First;
        for (int i = 0; i < FewInGranule; i++)
        {
            if (address <= segment.Last)
            {
                return segment;
            }

            segment = segment.Next!;
        }

        return Search(_segments, address);
    }

    /// <summary>The segment that serves an access as one piece, for when <see cref="Probe"/> did not find it.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public FlatSegment? FindWhole(ulong address, uint beyond)
    {
        FlatSegment segment = Find(address);
        return segment.ServesWhole(address, beyond) ? segment : null;
    }

    /// <summary>Lets another handler answer for a claim wherever it is visible. Concurrent accesses see either.</summary>
    public void ReplaceHandler(Claim claim, IRegionHandler handler)
    {
        foreach (FlatSegment segment in _segments)
        {
            if (ReferenceEquals(segment.Claim, claim))
            {
                segment.Handler = handler;
            }
        }
    }

    /// <summary>The segment of an address by binary search.</summary>
    /// <param name="segments">Sorted; the first may start above the address only if it does not matter.</param>
    /// <param name="address">The address.</param>
    public static FlatSegment Search(FlatSegment[] segments, ulong address)
    {
        int low = 0;
        int count = segments.Length;
        while (count > 1)
        {
            int half = count >> 1;
            low = segments[low + half].Start <= address ? low + half : low;
            count -= half;
        }

        return segments[low];
    }

    /// <summary>Marks the segments whose granules are not listed. The small ones are listed first, so that the table stays in proportion.</summary>
    private static bool[] ChooseLarge(FlatSegment[] segments, int granuleShift, out int granules)
    {
        bool[] isLarge = new bool[segments.Length];
        var order = new (ulong Granules, int Index)[segments.Length];
        for (int i = 0; i < segments.Length; i++)
        {
            order[i] = ((segments[i].Last >> granuleShift) - (segments[i].Start >> granuleShift) + 1, i);
        }

        Array.Sort(order);
        ulong budget = ((ulong)segments.Length * 16) + (4 * LargestListed);
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

        _table[slot] = new GranuleEntry { Granule = granule, First = Search(_segments, granule << _granuleShift) };
    }

    private AddressSpaceSegment[] ListClaimed()
    {
        var claimed = new List<AddressSpaceSegment>();
        foreach (FlatSegment segment in _segments)
        {
            if (segment.Claim is not null)
            {
                claimed.Add(new AddressSpaceSegment(segment.Start, segment.Last, segment.Claim, segment.Start - segment.Base));
            }
        }

        return claimed.ToArray();
    }

    private struct GranuleEntry
    {
        public ulong Granule;
        public FlatSegment First;
    }
}
