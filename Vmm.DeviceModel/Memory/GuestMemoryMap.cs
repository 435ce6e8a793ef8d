using System;
using System.Collections.Generic;

namespace Vmm.DeviceModel.Memory;

/// <summary>An immutable, sorted view of guest RAM. Valid while the caller is inside the <see cref="Bus.AccessDomain"/> in which it was read.</summary>
public sealed unsafe class GuestMemoryMap
{
    /// <summary>The regions by address, without overlap.</summary>
    public IReadOnlyList<GuestMemoryRegion> Regions => throw new NotImplementedException();

    /// <summary>The host bytes of a range that lies inside one region (MEM-2: never across two).</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="length">Bytes; a window of 0 bytes exists at any address.</param>
    /// <param name="window">The bytes.</param>
    /// <returns>False if any byte is not RAM or the range crosses into another region.</returns>
    public bool TryGetWindow(ulong address, int length, out GuestWindow window) => throw new NotImplementedException();

    /// <summary>How many bytes from <paramref name="address"/> lie in one region, and where.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="length">Wanted bytes.</param>
    /// <param name="host">Host address of the first byte.</param>
    /// <returns>Contiguous bytes available, at most <paramref name="length"/>; 0 if the address is not RAM.</returns>
    public ulong GetContiguous(ulong address, ulong length, out byte* host) => throw new NotImplementedException();

    /// <summary>True if every byte of the range is RAM, in one region or several.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="length">Bytes.</param>
    public bool Contains(ulong address, ulong length) => throw new NotImplementedException();
}
