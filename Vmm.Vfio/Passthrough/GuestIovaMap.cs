using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;

namespace Vmm.Vfio.Passthrough;

/// <summary>What a virtual IOMMU calls for the devices behind it: maps guest memory at addresses that the guest chose (VFIO-11).</summary>
/// <remarks>
/// <para>
/// For a mapper in which guest memory is not mapped at its own addresses. A request is mapped whole, inside one host mapping of guest RAM, or not at
/// all. Memory that goes is unmapped before it is gone.
/// </para>
/// <para>Thread-safe. Lock order: the guest memory's lock of changes, then the lock here, then the mapper's.</para>
/// </remarks>
public sealed class GuestIovaMap : IGuestMemoryListener, IDisposable
{
    private readonly IDmaMapper _mapper;
    private readonly int _limit;
    private readonly Lock _lock = new();
    private readonly List<GuestMemoryRegion> _regions = [];
    private readonly Dictionary<ulong, (ulong Length, GuestMemoryRegion Region)> _mapped = [];
    private readonly IDisposable _listening;
    private long _refused;

    /// <summary>Maps nothing yet.</summary>
    /// <param name="mapper">Where to.</param>
    /// <param name="memory">The guest memory that requests name.</param>
    /// <param name="limit">How many mappings there can be at once; a guest asks for them.</param>
    public GuestIovaMap(IDmaMapper mapper, GuestMemory memory, int limit = 65535)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        (_mapper, _limit) = (mapper, limit);
        _listening = memory.AddListener(this);
    }

    /// <summary>How many mappings there are.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _mapped.Count;
            }
        }
    }

    /// <summary>How many requests were refused.</summary>
    public long Refused => Volatile.Read(ref _refused);

    /// <summary>A guest's request to map a range of its memory. Never throws for what the guest asks.</summary>
    /// <param name="iova">First address as the device sees it.</param>
    /// <param name="memory">The range in guest-physical addresses.</param>
    /// <param name="writable">Whether the device may write.</param>
    /// <returns>
    /// False if the range does not lie inside one host mapping of RAM, the address is taken, or the host refuses: nothing is mapped.
    /// </returns>
    public bool TryMap(ulong iova, GuestRange memory, bool writable)
    {
        lock (_lock)
        {
            if (memory.Length != 0 && _mapped.Count < _limit && !_mapped.ContainsKey(iova) && Find(memory) is { } region)
            {
                try
                {
                    _mapper.Map(iova, region.Memory, region.Offset + (memory.Address - region.Address), memory.Length, writable);
                    _mapped.Add(iova, (memory.Length, region));
                    return true;
                }
                catch (HostException)
                {
                    // Counted below: overlaps, alignment and the host's limits are the mapper's to know.
                }
            }
        }

        Interlocked.Increment(ref _refused);
        return false;
    }

    /// <summary>A guest's request to unmap what one request has mapped; when this returns true no device reaches it.</summary>
    /// <param name="iova">Its first address.</param>
    /// <param name="length">Its length.</param>
    /// <returns>False if nothing of these limits is mapped, or the host refuses: it stays mapped.</returns>
    public bool TryUnmap(ulong iova, ulong length)
    {
        lock (_lock)
        {
            if (_mapped.TryGetValue(iova, out (ulong Length, GuestMemoryRegion Region) mapping) && mapping.Length == length && Unmap(iova, length))
            {
                _mapped.Remove(iova);
                return true;
            }
        }

        Interlocked.Increment(ref _refused);
        return false;
    }

    /// <summary>Unmaps everything.</summary>
    public void Dispose()
    {
        _listening.Dispose();
        lock (_lock)
        {
            UnmapAll(static _ => true);
        }
    }

    /// <inheritdoc/>
    void IGuestMemoryListener.Added(GuestMemoryRegion region)
    {
        lock (_lock)
        {
            _regions.Add(region);
        }
    }

    /// <inheritdoc/>
    void IGuestMemoryListener.Removed(GuestMemoryRegion region)
    {
        lock (_lock)
        {
            UnmapAll(candidate => candidate == region);
            _regions.Remove(region);
        }
    }

    private GuestMemoryRegion? Find(GuestRange range)
    {
        return _regions.Find(
            region => range.Address >= region.Address && GuestRange.Fits(range.Address - region.Address, range.Length, region.Length));
    }

    private void UnmapAll(Predicate<GuestMemoryRegion> belongs)
    {
        foreach ((ulong iova, (ulong Length, GuestMemoryRegion Region) mapping) in _mapped)
        {
            // What the host does not unmap stays pinned, and is nobody else's, until the mapper is closed.
            if (belongs(mapping.Region) && Unmap(iova, mapping.Length))
            {
                _mapped.Remove(iova);
            }
        }
    }

    private bool Unmap(ulong iova, ulong length)
    {
        try
        {
            _mapper.Unmap(iova, length);
            return true;
        }
        catch (HostException)
        {
            return false;
        }
    }
}
