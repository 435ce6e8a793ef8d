using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Memory;

namespace Vmm.DeviceModel.Bus;

/// <summary>RAM of a machine: what the processors see in an address space and what devices reach by DMA, added and removed as one.</summary>
/// <remarks>
/// Thread-safe. The host memory stays its maker's, who disposes it after the RAM is removed. Nothing here may be called from inside an access.
/// </remarks>
public sealed class SystemRam : IDisposable
{
    private readonly Lock _changes = new();
    private readonly AddressSpace _space;
    private readonly Dictionary<GuestMemoryRegion, MemoryClaim> _claims = [];

    /// <summary>Makes a machine's RAM, with nothing in it yet.</summary>
    /// <param name="space">Where the processors see it.</param>
    public SystemRam(AddressSpace space)
    {
        ArgumentNullException.ThrowIfNull(space);
        _space = space;
    }

    /// <summary>The RAM as devices see it.</summary>
    public GuestMemory Memory { get; } = new();

    /// <summary>Adds all of a host mapping.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="host">The mapping; it must outlive the region.</param>
    /// <inheritdoc cref="Add(ulong, HostMemory, ulong, ulong, string)"/>
    public GuestMemoryRegion Add(ulong address, HostMemory host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return Add(address, host, 0, host.Length);
    }

    /// <summary>Adds a part of a host mapping.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="host">The mapping; it must outlive the region.</param>
    /// <param name="offset">Start in the mapping, bytes.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="name">Name of the claim, for logs.</param>
    /// <returns>The region, for <see cref="Remove"/>.</returns>
    /// <exception cref="ArgumentException">The range is empty, wraps, overlaps RAM or does not lie in the mapping.</exception>
    /// <exception cref="InvalidOperationException">Called from inside an access.</exception>
    /// <exception cref="HostException">The hypervisor or a listener's kernel refused; nothing was added.</exception>
    public GuestMemoryRegion Add(ulong address, HostMemory host, ulong offset, ulong length, string name = "ram")
    {
        lock (_changes)
        {
            GuestMemoryRegion region = Memory.Add(address, host, offset, length);
            try
            {
                var claim = new MemoryClaim(name, host, offset, length);
                _space.Add(claim, address);
                _claims.Add(region, claim);
                return region;
            }
            catch
            {
                Memory.Remove(region);
                throw;
            }
        }
    }

    /// <summary>Removes RAM; returns when neither a processor nor a device uses it any more.</summary>
    /// <param name="region">From <see cref="Add(ulong, HostMemory)"/>.</param>
    /// <exception cref="ArgumentException">The region is not RAM of this machine.</exception>
    /// <exception cref="InvalidOperationException">Called from inside an access.</exception>
    /// <exception cref="PinnedMemoryException">
    /// I/O of a device into it did not end within <see cref="GuestMemory.PinLimit"/>; it stays, for processors and devices.
    /// </exception>
    public void Remove(GuestMemoryRegion region)
    {
        ArgumentNullException.ThrowIfNull(region);
        Memory.Domain.ThrowIfInside();
        lock (_changes)
        {
            if (!_claims.TryGetValue(region, out MemoryClaim? claim))
            {
                throw new ArgumentException("not RAM of this machine", nameof(region));
            }

            // Devices first: that is what can be refused, and the processors have it until then.
            Memory.RemoveAfter(region, () => _space.Remove(claim));
            _claims.Remove(region);
        }
    }

    /// <summary>
    /// Removes all of it. What I/O of a device still goes on in is taken from the processors alone: its host memory stays mapped until that ends.
    /// </summary>
    public void Dispose()
    {
        lock (_changes)
        {
            foreach ((GuestMemoryRegion region, MemoryClaim claim) in new Dictionary<GuestMemoryRegion, MemoryClaim>(_claims))
            {
                try
                {
                    Remove(region);
                }
                catch (PinnedMemoryException)
                {
                    _space.Remove(claim);
                    _claims.Remove(region);
                }
            }
        }
    }
}
