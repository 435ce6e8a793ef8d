using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;

namespace Vmm.Pci.Bars;

/// <summary>One base address register (two for 64-bit memory) and the regions behind it, checked when it is made (PCI-7).</summary>
public sealed class PciBar
{
    /// <summary>The index that stands for the expansion ROM.</summary>
    public const int RomIndex = 6;

    /// <summary>Describes a BAR.</summary>
    /// <param name="index">0 to 5, or <see cref="RomIndex"/> for the expansion ROM. A 64-bit BAR takes this register and the next.</param>
    /// <param name="kind">What it addresses.</param>
    /// <param name="size">Bytes, a power of two; the limits are on <see cref="PciBarKind"/>.</param>
    /// <param name="regions">What lies in it; parts that no region covers read all-ones and drop writes.</param>
    /// <param name="prefetchable">Memory without read side effects, whose writes may be merged.</param>
    /// <param name="placement">Where the first address is taken from.</param>
    /// <exception cref="ArgumentException">The layout is bad; the message says how.</exception>
    public PciBar(
        int index,
        PciBarKind kind,
        ulong size,
        IReadOnlyList<PciBarRegion> regions,
        bool prefetchable = false,
        PciBarPlacement placement = PciBarPlacement.Automatic)
        : this(index, kind, size, regions, prefetchable, placement, anyRegister: false)
    {
    }

    private PciBar(
        int index,
        PciBarKind kind,
        ulong size,
        IReadOnlyList<PciBarRegion> regions,
        bool prefetchable,
        PciBarPlacement placement,
        bool anyRegister)
    {
        ArgumentNullException.ThrowIfNull(regions);
        CheckIndex(index, kind, anyRegister);
        CheckSize(index, kind, size);
        if (prefetchable && kind is (PciBarKind.Io or PciBarKind.Rom))
        {
            throw new ArgumentException($"BAR {index}: only memory BARs can be prefetchable", nameof(prefetchable));
        }

        Index = index;
        Kind = kind;
        Size = size;
        Prefetchable = prefetchable;
        Placement = placement;
        Regions = regions.OrderBy(region => region.Offset).ToArray();
        CheckRegions();
    }

    /// <summary>Describes a BAR of a real device, some of which have 64-bit BARs at odd registers.</summary>
    /// <param name="index">0 to 5, or <see cref="RomIndex"/>; at most 4 for 64-bit memory.</param>
    /// <param name="kind">What it addresses.</param>
    /// <param name="size">Bytes, a power of two; the limits are on <see cref="PciBarKind"/>.</param>
    /// <param name="regions">What lies in it.</param>
    /// <param name="prefetchable">Memory without read side effects.</param>
    /// <exception cref="ArgumentException">The layout is bad; the message says how.</exception>
    public static PciBar OfDevice(int index, PciBarKind kind, ulong size, IReadOnlyList<PciBarRegion> regions, bool prefetchable)
    {
        return new PciBar(index, kind, size, regions, prefetchable, PciBarPlacement.Automatic, anyRegister: true);
    }

    /// <summary>0 to 5, or <see cref="RomIndex"/>.</summary>
    public int Index { get; }

    /// <summary>What it addresses.</summary>
    public PciBarKind Kind { get; }

    /// <summary>Bytes, a power of two.</summary>
    public ulong Size { get; }

    /// <summary>Memory without read side effects.</summary>
    public bool Prefetchable { get; }

    /// <summary>Where the first address is taken from.</summary>
    public PciBarPlacement Placement { get; }

    /// <summary>What lies in the BAR, by offset.</summary>
    public IReadOnlyList<PciBarRegion> Regions { get; }

    /// <summary>Offset of the (first) register in configuration space.</summary>
    public int RegisterOffset => Kind == PciBarKind.Rom ? Spec.ConfigurationRegisters.ExpansionRom : Spec.ConfigurationRegisters.Bar0 + (4 * Index);

    /// <summary>How many registers it takes: 1 or 2.</summary>
    public int RegisterCount => Kind == PciBarKind.Memory64 ? 2 : 1;

    /// <summary>The read-only type bits of the low register.</summary>
    internal uint TypeBits => Kind switch
    {
        PciBarKind.Io => 1,
        PciBarKind.Memory64 => 4u | (Prefetchable ? 8u : 0),
        PciBarKind.Memory32 => Prefetchable ? 8u : 0,
        _ => 0,
    };

    /// <summary>The address bits that a guest writes.</summary>
    internal ulong AddressMask => ~(Size - 1) & (Kind == PciBarKind.Memory64 ? ulong.MaxValue : uint.MaxValue);

    /// <summary>Regions plus gaps; true if some bytes belong to no region.</summary>
    internal bool HasHoles
    {
        get
        {
            ulong covered = 0;
            foreach (PciBarRegion region in Regions)
            {
                covered += region.Length;
            }

            return covered != Size;
        }
    }

    /// <summary>The region that a range lies in, or null.</summary>
    /// <param name="offset">Offset in the BAR.</param>
    /// <param name="length">Bytes, at least 1.</param>
    public PciBarRegion? FindRegion(ulong offset, ulong length)
    {
        foreach (PciBarRegion region in (PciBarRegion[])Regions)
        {
            if (offset >= region.Offset && offset - region.Offset < region.Length)
            {
                return length <= region.Length - (offset - region.Offset) ? region : null;
            }
        }

        return null;
    }

    private static void CheckIndex(int index, PciBarKind kind, bool anyRegister)
    {
        if (kind == PciBarKind.Rom != (index == RomIndex) || index is < 0 or > RomIndex)
        {
            throw new ArgumentException($"BAR {index}: BARs are 0 to 5, and {RomIndex} stands for the expansion ROM alone", nameof(index));
        }

        if (kind == PciBarKind.Memory64 && index == 5)
        {
            throw new ArgumentException("BAR 5 cannot be 64-bit: there is no register after it for the upper half", nameof(index));
        }

        if (kind == PciBarKind.Memory64 && (index & 1) != 0 && !anyRegister)
        {
            throw new ArgumentException($"BAR {index}: a 64-bit BAR takes an even register and the odd one after it", nameof(index));
        }
    }

    private static void CheckSize(int index, PciBarKind kind, ulong size)
    {
        (ulong least, ulong most) = kind switch
        {
            PciBarKind.Io => (4ul, 256ul),
            PciBarKind.Memory32 => (16ul, 1ul << 31),
            PciBarKind.Memory64 => (16ul, 1ul << 62),
            PciBarKind.Rom => (2048ul, 16ul << 20),
            _ => throw new ArgumentOutOfRangeException(nameof(kind)),
        };
        if (!BitOperations.IsPow2(size) || size < least || size > most)
        {
            throw new ArgumentException($"BAR {index}: 0x{size:x} bytes; {kind} takes a power of two from 0x{least:x} to 0x{most:x}", nameof(size));
        }
    }

    private void CheckRegions()
    {
        PciBarRegion? previous = null;
        foreach (PciBarRegion region in Regions)
        {
            if (region.Last >= Size)
            {
                throw new ArgumentException(
                    $"BAR {Index}: region {region.Name} ends at 0x{region.Last:x}, outside of 0x{Size:x} bytes", nameof(Regions));
            }

            if (previous is not null && region.Offset <= previous.Last)
            {
                throw new ArgumentException(
                    $"BAR {Index}: regions {previous.Name} and {region.Name} overlap at 0x{region.Offset:x}", nameof(Regions));
            }

            if (region.Memory is not null && Kind == PciBarKind.Io)
            {
                throw new ArgumentException($"BAR {Index}: host memory cannot lie in I/O space", nameof(Regions));
            }

            if (region.Memory is not null && Kind == PciBarKind.Rom && !region.ReadOnly)
            {
                throw new ArgumentException($"BAR {Index}: host memory of region {region.Name} in a ROM is read-only", nameof(Regions));
            }

            previous = region;
        }
    }
}
