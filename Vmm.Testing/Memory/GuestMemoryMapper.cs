using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;

namespace Vmm.Testing.Memory;

/// <summary>Maps host memory for a function of our own: into the guest memory that the function masters.</summary>
/// <remarks>Thread-safe: one lock over the list of regions. A removal waits for accesses in flight.</remarks>
internal sealed class GuestMemoryMapper(GuestMemory guest) : IDmaMapper
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, GuestMemoryRegion> _regions = [];

    public IReadOnlyList<GuestRange> ValidRanges { get; } = [GuestRange.TryCreate(0, ulong.MaxValue, out GuestRange all) ? all : default];

    public ulong Granularity => 0x1000;

    public bool CanMapDevices => false;

    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _regions.Count;
            }
        }
    }

    public void Map(ulong iova, HostMemory memory, ulong offset, ulong length, bool writable = true)
    {
        lock (_lock)
        {
            _regions.Add(iova, guest.Add(iova, memory, offset, length));
        }
    }

    public void Unmap(ulong iova, ulong length)
    {
        lock (_lock)
        {
            if (!_regions.TryGetValue(iova, out GuestMemoryRegion? region) || region.Length != length)
            {
                throw new ArgumentException($"0x{length:x} bytes at IOVA 0x{iova:x} are not mapped so", nameof(iova));
            }

            guest.Remove(region);
            _regions.Remove(iova);
        }
    }
}
