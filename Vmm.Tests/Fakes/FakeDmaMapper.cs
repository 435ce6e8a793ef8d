using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Vfio;

namespace Vmm.Tests.Fakes;

/// <summary>A mapper that only remembers, and refuses on demand.</summary>
public sealed class FakeDmaMapper : IDmaMapper
{
    private readonly SortedDictionary<ulong, ulong> _mapped = [];

    /// <summary>Asked before each map: true refuses it.</summary>
    public Func<ulong, bool>? Refuse { get; set; }

    /// <summary>What is mapped now: lengths by address.</summary>
    public IReadOnlyDictionary<ulong, ulong> Mapped => _mapped;

    /// <summary>Every map and unmap, for example <c>map 1000+2000 rw</c>, <c>unmap 1000+2000</c>.</summary>
    public List<string> Calls { get; } = [];

    public IReadOnlyList<GuestRange> ValidRanges => [GuestRange.TryCreate(0, 1ul << 48, out GuestRange range) ? range : default];

    public ulong Granularity => 4096;

    public bool CanMapDevices { get; set; } = true;

    public int Count => _mapped.Count;

    public void Map(ulong iova, HostMemory memory, ulong offset, ulong length, bool writable = true)
    {
        if (Refuse?.Invoke(iova) == true)
        {
            throw new VfioException("VFIO_IOMMU_MAP_DMA", "fake", 14, "refused");
        }

        if (((iova | offset | length) & 4095) != 0 || offset + length > memory.Length)
        {
            throw new VfioException("VFIO_IOMMU_MAP_DMA", "fake", 22, "not aligned, or outside of the memory");
        }

        foreach ((ulong start, ulong size) in _mapped)
        {
            if (iova < start + size && start < iova + length)
            {
                throw new VfioException("VFIO_IOMMU_MAP_DMA", "fake", 17, "overlaps");
            }
        }

        _mapped.Add(iova, length);
        Calls.Add($"map {iova:x}+{length:x} {(writable ? "rw" : "r")}");
    }

    public void Unmap(ulong iova, ulong length)
    {
        if (!_mapped.TryGetValue(iova, out ulong size) || size != length)
        {
            throw new VfioException("VFIO_IOMMU_UNMAP_DMA", "fake", 2, "not mapped so");
        }

        _mapped.Remove(iova);
        Calls.Add($"unmap {iova:x}+{length:x}");
    }
}
