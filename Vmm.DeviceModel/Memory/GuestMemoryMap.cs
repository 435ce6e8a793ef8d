using System;
using System.Collections.Generic;

namespace Vmm.DeviceModel.Memory;

/// <summary>An immutable, sorted view of guest RAM. Valid while the caller is inside the <see cref="Bus.AccessDomain"/> in which it was read.</summary>
public sealed unsafe class GuestMemoryMap
{
    private readonly GuestMemoryRegion[] _regions;

    internal GuestMemoryMap(GuestMemoryRegion[] regions) => _regions = regions;

    /// <summary>The regions by address, without overlap.</summary>
    public IReadOnlyList<GuestMemoryRegion> Regions => _regions;

    /// <summary>The host bytes of a range that lies inside one region (MEM-2: never across two).</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="length">Bytes; negative is refused; a window of 0 bytes exists at any RAM address.</param>
    /// <param name="window">The bytes.</param>
    /// <returns>False if any byte is not RAM or the range crosses into another region.</returns>
    public bool TryGetWindow(ulong address, int length, out GuestWindow window)
    {
        if (length >= 0)
        {
            foreach (var region in _regions)
            {
                // A wrapped difference is larger than any region.
                ulong offset = address - region.Address;
                if (offset < region.Length)
                {
                    if ((ulong)length > region.Length - offset)
                    {
                        break;
                    }

                    window = new GuestWindow(region.Host + offset, length);
                    return true;
                }
            }
        }

        window = default;
        return false;
    }

    /// <summary>How many bytes from <paramref name="address"/> lie in one region, and where.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="length">Wanted bytes.</param>
    /// <param name="host">Host address of the first byte.</param>
    /// <returns>Contiguous bytes available, at most <paramref name="length"/>; 0 if the address is not RAM.</returns>
    public ulong GetContiguous(ulong address, ulong length, out byte* host)
    {
        foreach (var region in _regions)
        {
            ulong offset = address - region.Address;
            if (offset < region.Length)
            {
                host = region.Host + offset;
                return Math.Min(length, region.Length - offset);
            }
        }

        host = null;
        return 0;
    }

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
}
