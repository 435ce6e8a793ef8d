using System;
using Vmm.DeviceModel.Bus;

namespace Vmm.DeviceModel.Memory;

/// <summary>Guest RAM as devices see it: regions that come and go while queues run (MEM-4).</summary>
/// <remarks>
/// Readers take <see cref="Current"/> inside a scope of <see cref="Domain"/> and may keep pointers only inside it; or keep them and compare
/// <see cref="Current"/> by reference at the start of every scope. <see cref="Remove"/> returns after the last scope that could have seen
/// the region has ended, so the mapping can be unmapped then.
/// </remarks>
public sealed class GuestMemory
{
    /// <summary>Makes an empty memory.</summary>
    /// <param name="domain">The readers that removal waits for; by default one of its own.</param>
    public GuestMemory(AccessDomain? domain = null) => throw new NotImplementedException();

    /// <summary>The readers that removal waits for.</summary>
    public AccessDomain Domain => throw new NotImplementedException();

    /// <summary>The map as it is now (one volatile read).</summary>
    public GuestMemoryMap Current => throw new NotImplementedException();

    /// <summary>Adds RAM.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="memory">The mapping; it must outlive the region.</param>
    /// <param name="offset">Start in the mapping.</param>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ArgumentException">The range wraps, overlaps a region or does not lie in the mapping.</exception>
    public GuestMemoryRegion Add(ulong address, HostMemory memory, ulong offset, ulong length) => throw new NotImplementedException();

    /// <summary>Removes RAM; returns when nobody uses it any more.</summary>
    /// <param name="region">A region of this memory.</param>
    public void Remove(GuestMemoryRegion region) => throw new NotImplementedException();

    /// <summary>Copies guest bytes out, piecewise across regions.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="destination">Where to.</param>
    /// <returns>False, and nothing promised about the destination, if any byte is not RAM.</returns>
    public bool TryRead(ulong address, Span<byte> destination) => throw new NotImplementedException();

    /// <summary>Copies bytes into the guest, piecewise across regions; marks them dirty when tracking is on.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="source">What to write.</param>
    /// <returns>False, with nothing written, if any byte is not RAM.</returns>
    public bool TryWrite(ulong address, ReadOnlySpan<byte> source) => throw new NotImplementedException();
}
