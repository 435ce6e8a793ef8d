using System;
using System.Runtime.CompilerServices;
using Vmm.DeviceModel.Memory;

namespace Vmm.Virtio.Queues;

/// <summary>Guest RAM as one queue sees it: a copy of the region list with host addresses, and the translator in front of it.</summary>
/// <remarks>Belongs to the queue's owner. Host addresses are used inside a scope of the memory's domain, after <see cref="Refresh"/>.</remarks>
internal sealed unsafe class DmaView
{
    private readonly DmaTarget _dma;
    private GuestMemoryMap? _map;
    private Region[] _regions = [];
    private GuestMemoryRegion[] _sources = [];
    private bool _changedInside;

    public DmaView(DmaTarget dma)
    {
        _dma = dma;
    }

    /// <summary>The region of the last hit, for a check in line; of length 0 where every address must be translated.</summary>
    public Region Hit;

    /// <summary>The regions that host addresses are resolved in.</summary>
    public ReadOnlySpan<GuestMemoryRegion> Sources => _sources;

    /// <summary>Told of what is written, or null: as it was at the start of the scope (MEM-5).</summary>
    public IDirtyTracker? Tracker { get; private set; }

    /// <summary>Takes notice of a changed map and of the tracker. The caller is inside the domain.</summary>
    /// <returns>True if host addresses resolved before are not to be used any more.</returns>
    public bool Refresh()
    {
        Tracker = _dma.Memory.DirtyTracker;
        bool changed = Load() || _changedInside;
        _changedInside = false;
        if (_dma.Translator is not null)
        {
            Hit = default;
            changed = true;
        }

        return changed;
    }

    /// <summary>The host address of a range if it is RAM and one run of host bytes.</summary>
    /// <param name="address">Device address.</param>
    /// <param name="length">Bytes, at least 1.</param>
    /// <param name="write">True if the device will write.</param>
    /// <returns>Null if it is not.</returns>
    public byte* Resolve(ulong address, ulong length, bool write)
    {
        byte* first = null;
        byte* next = null;
        while (length > 0)
        {
            byte* host = ResolveStart(address, length, write, out ulong contiguous);
            if (host is null || (next is not null && host != next))
            {
                return null;
            }

            first = first is null ? host : first;
            next = host + contiguous;
            length -= contiguous;
            address += contiguous;
            if (length > 0 && address == 0)
            {
                return null;
            }
        }

        return first;
    }

    /// <summary>Tells the tracker that bytes at a host address were written, under every guest address that they have.</summary>
    /// <param name="start">The first byte.</param>
    /// <param name="length">Bytes; they may lie in several regions that follow each other in the host.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public void MarkDirty(byte* start, ulong length)
    {
        byte* end = start + length;
        foreach (ref readonly Region region in _regions.AsSpan())
        {
            byte* from = start > region.Host ? start : region.Host;
            byte* to = end < region.Host + region.Length ? end : region.Host + region.Length;
            if (from < to)
            {
                Tracker!.MarkDirty(region.Start + (ulong)(from - region.Host), (ulong)(to - from));
            }
        }
    }

    /// <summary>Adds the pieces of a buffer to a chain.</summary>
    /// <param name="chain">The chain.</param>
    /// <param name="used">Pieces in it, counted on.</param>
    /// <param name="address">Device address of the buffer.</param>
    /// <param name="length">Its length; 0 adds nothing.</param>
    /// <param name="write">True if the device will write.</param>
    /// <returns>Null, or what is wrong with the buffer.</returns>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public string? AddPieces(DescriptorChain chain, ref int used, ulong address, ulong length, bool write)
    {
        while (length > 0)
        {
            byte* host = ResolveStart(address, length, write, out ulong contiguous);
            if (host is null)
            {
                return "a buffer is not in RAM";
            }

            if (used == chain.Capacity && !chain.TryGrow(used))
            {
                return "a chain is in too many pieces";
            }

            chain.Segments[used].Base = host;
            chain.Segments[used].Length = (nuint)contiguous;
            used++;
            length -= contiguous;
            address += contiguous;
            if (length > 0 && address == 0)
            {
                return "a buffer wraps around the end of the address space";
            }
        }

        return null;
    }

    /// <summary>Copies bytes that are not one run of host memory.</summary>
    /// <param name="address">Device address.</param>
    /// <param name="destination">Where to.</param>
    /// <returns>False if any byte is not RAM, or the bytes wrap around the end of the address space.</returns>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public bool TryRead(ulong address, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            byte* host = ResolveStart(address, (ulong)destination.Length, false, out ulong contiguous);
            if (host is null)
            {
                return false;
            }

            new ReadOnlySpan<byte>(host, (int)contiguous).CopyTo(destination);
            destination = destination[(int)contiguous..];
            address += contiguous;
            if (!destination.IsEmpty && address == 0)
            {
                return false;
            }
        }

        return true;
    }

    private byte* ResolveStart(ulong address, ulong length, bool write, out ulong contiguous)
    {
        ulong wanted = length;
        bool translated = false;
        if (_dma.Translator is { } translator)
        {
            if (!translator.TryTranslate(address, length, write, out address, out ulong mapped))
            {
                contiguous = 0;
                return null;
            }

            wanted = Math.Min(length, Math.Max(1, mapped));
            translated = true;
        }

        byte* host = Find(address, wanted, translated, out contiguous);
        if (host is null && Load())
        {
            // RAM was added after our scope had begun, and the guest uses it already. What was resolved before stays valid to the end of the
            // scope; the next one resolves it anew.
            _changedInside = true;
            host = Find(address, wanted, translated, out contiguous);
        }

        return host;
    }

    private byte* Find(ulong address, ulong wanted, bool translated, out ulong contiguous)
    {
        foreach (ref readonly Region region in _regions.AsSpan())
        {
            // A wrapped difference is larger than any region.
            ulong offset = address - region.Start;
            if (offset < region.Length)
            {
                contiguous = Math.Min(wanted, region.Length - offset);
                if (!translated)
                {
                    Hit = region;
                }

                return region.Host + offset;
            }
        }

        contiguous = 0;
        return null;
    }

    /// <summary>Copies the region list if it is another one now.</summary>
    private bool Load()
    {
        GuestMemoryMap map = _dma.Memory.Current;
        if (ReferenceEquals(map, _map))
        {
            return false;
        }

        _map = map;
        Hit = default;
        var regions = new Region[map.Regions.Count];
        _sources = [.. map.Regions];
        for (int i = 0; i < regions.Length; i++)
        {
            GuestMemoryRegion region = map.Regions[i];
            regions[i] = new Region { Start = region.Address, Length = region.Length, Host = region.Memory.Pointer + region.Offset };
        }

        _regions = regions;
        return true;
    }

    internal struct Region
    {
        public ulong Start;
        public ulong Length;
        public byte* Host;

        /// <summary>Whether bytes lie inside.</summary>
        /// <param name="offset">Their address less that of the region; one that wraps is larger than any region.</param>
        /// <param name="length">How many, at most 4 GiB; of none it says that they do not.</param>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly bool Holds(ulong offset, ulong length) => offset < Length && offset + length <= Length && length != 0;
    }
}
