using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;

namespace Vmm.DeviceModel.Memory;

/// <summary>
/// An immutable, sorted view of guest RAM. Valid while the caller is inside the <see cref="Epochs.AccessDomain"/> in which it was read.
/// </summary>
/// <remarks>The first two regions (RAM below and above the 32-bit hole of a PC) are tested in line; others are searched by halves.</remarks>
public sealed unsafe class GuestMemoryMap
{
    private readonly GuestMemoryRegion[] _regions;
    private readonly ulong[] _starts;
    private readonly Run _first;
    private readonly Run _second;

    internal GuestMemoryMap(GuestMemoryRegion[] regions)
    {
        _regions = regions;
        _starts = Array.ConvertAll(regions, static region => region.Address);
        _first = regions.Length > 0 ? new Run(regions[0]) : default;
        _second = regions.Length > 1 ? new Run(regions[1]) : default;
    }

    /// <summary>The regions by address, without overlap.</summary>
    public IReadOnlyList<GuestMemoryRegion> Regions => _regions;

    /// <summary>The host bytes of a range that lies inside one region (MEM-2: never across two).</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="length">Bytes; negative is refused; a window of 0 bytes exists at any RAM address.</param>
    /// <param name="window">The bytes.</param>
    /// <returns>False if any byte is not RAM or the range crosses into another region.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryGetWindow(ulong address, int length, out GuestWindow window)
    {
        ulong available = Find(address, out byte* host);

        // A negative length is larger than any region once it is unsigned; where nothing is found host is null.
        if (host is not null && (ulong)length <= available)
        {
            window = new GuestWindow(host, length);
            return true;
        }

        window = default;
        return false;
    }

    /// <summary>How many bytes from <paramref name="address"/> lie in one region, and where.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="length">Wanted bytes.</param>
    /// <param name="host">Host address of the first byte, or null if the address is not RAM.</param>
    /// <returns>Contiguous bytes available, at most <paramref name="length"/>; 0 if the address is not RAM.</returns>
    public ulong GetContiguous(ulong address, ulong length, out byte* host) => Math.Min(length, Find(address, out host));

    /// <summary>True if every byte of the range is RAM, in one region or several.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="length">Bytes; an empty range is contained everywhere.</param>
    public bool Contains(ulong address, ulong length)
    {
        if (!GuestRange.TryCreate(address, length, out _))
        {
            return false;
        }

        while (length > 0)
        {
            ulong run = GetContiguous(address, length, out _);
            if (run == 0)
            {
                return false;
            }

            address += run;
            length -= run;
        }

        return true;
    }

    /// <summary>Gives pages of one region back to the host.</summary>
    /// <param name="address">Where they begin, in RAM.</param>
    /// <param name="length">Bytes, of which those behind the region are left.</param>
    /// <param name="run">Bytes that lie in the region.</param>
    /// <returns>False if they stay.</returns>
    internal bool TryDiscard(ulong address, ulong length, out ulong run)
    {
        GuestMemoryRegion region = Array.FindLast(_regions, candidate => candidate.Address <= address)!;
        run = Math.Min(length, region.Length - (address - region.Address));
        return region.Memory.TryDiscard(region.Offset + (address - region.Address), run);
    }

    /// <summary>Bytes from an address to the end of its region, and the first one's host address; 0 and null outside RAM.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ulong Find(ulong address, out byte* host)
    {
        // An address below the start wraps to an offset that is larger than any region. An absent region has length 0.
        ulong offset = address - _first.Start;
        if (offset < _first.Length)
        {
            host = _first.Host + offset;
            return _first.Length - offset;
        }

        offset = address - _second.Start;
        if (offset < _second.Length)
        {
            host = _second.Host + offset;
            return _second.Length - offset;
        }

        return Search(address, out host);
    }

    private ulong Search(ulong address, out byte* host)
    {
        if (_regions.Length > 2)
        {
            // The last region that starts at or below the address.
            ulong[] starts = _starts;
            int low = 0;
            int high = starts.Length;
            while (low < high)
            {
                int middle = (low + high) >> 1;
                if (starts[middle] <= address)
                {
                    low = middle + 1;
                }
                else
                {
                    high = middle;
                }
            }

            if (low > 0)
            {
                GuestMemoryRegion region = _regions[low - 1];
                ulong offset = address - region.Address;
                if (offset < region.Length)
                {
                    host = region.Host + offset;
                    return region.Length - offset;
                }
            }
        }

        host = null;
        return 0;
    }

    private readonly struct Run(GuestMemoryRegion region)
    {
        public readonly ulong Start = region.Address;
        public readonly ulong Length = region.Length;
        public readonly byte* Host = region.Host;
    }
}
