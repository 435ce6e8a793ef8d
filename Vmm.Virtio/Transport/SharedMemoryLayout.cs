using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Numerics;
using Vmm.Pci.Bars;
using Vmm.Virtio.Devices;

namespace Vmm.Virtio.Transport;

/// <summary>Where a device's shared memory regions lie: one after the other in a prefetchable BAR of their own (virtio 1.2, 4.1.4.7).</summary>
internal sealed class SharedMemoryLayout
{
    /// <summary>The BAR of shared memory; 64-bit, so it takes the next register too.</summary>
    public const int Bar = 2;

    private const ulong PageSize = 0x1000;
    private const ulong HugePageSize = 2 << 20;

    private readonly ulong _end;

    /// <exception cref="ArgumentException">Two regions have one id, or a region does not lie in its memory on whole pages.</exception>
    public SharedMemoryLayout(VirtioDevice device)
    {
        IReadOnlyList<SharedMemoryRegion> regions = device.SharedMemory;
        var places = new List<(SharedMemoryRegion Region, ulong Offset)>();
        foreach (SharedMemoryRegion region in regions)
        {
            Check(region, device);

            // A huge page of the host can be one of the guest only where both addresses are multiples of its size.
            ulong alignment = region.Length >= HugePageSize ? HugePageSize : PageSize;
            ulong offset = (_end + alignment - 1) & ~(alignment - 1);
            _end = offset + region.Length;
            places.Add((region, offset));
        }

        if (places.Select(place => place.Region.Id).Distinct().Count() != places.Count)
        {
            throw new ArgumentException("two shared memory regions have one id", nameof(device));
        }

        Places = places;
    }

    /// <summary>The regions and their offsets in the BAR.</summary>
    public IReadOnlyList<(SharedMemoryRegion Region, ulong Offset)> Places { get; }

    /// <summary>The BAR; there is one only with regions.</summary>
    public PciBar CreateBar()
    {
        ulong size = BitOperations.RoundUpToPowerOf2(Math.Max(_end, PageSize));
        return new PciBar(Bar, PciBarKind.Memory64, size, [.. Places.Select(CreateRegion)], prefetchable: true);
    }

    private static PciBarRegion CreateRegion((SharedMemoryRegion Region, ulong Offset) place)
    {
        (SharedMemoryRegion region, ulong offset) = place;
        string name = string.Create(CultureInfo.InvariantCulture, $"shared{region.Id}");
        return new PciBarRegion(name, offset, region.Length, region.Memory, region.Offset, region.ReadOnly);
    }

    private static void Check(SharedMemoryRegion region, VirtioDevice device)
    {
        if (region.Length == 0 || region.Offset % PageSize != 0
            || region.Offset > region.Memory.Length || region.Length > region.Memory.Length - region.Offset)
        {
            throw new ArgumentException(
                $"shared memory region {region.Id}: 0x{region.Length:x} bytes at 0x{region.Offset:x} "
                + $"are no whole pages of the 0x{region.Memory.Length:x} bytes of its memory",
                nameof(device));
        }
    }
}
