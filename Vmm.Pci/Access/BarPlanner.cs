using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Memory;

namespace Vmm.Pci.Access;

/// <summary>
/// Decides which pages of a BAR a guest reaches without an exit, and a driver without a call (VFIO-3). Pure: nothing is mapped or asked here.
/// </summary>
/// <remarks>
/// What is trapped is rounded out to pages and merged; mapped is what is left of the device's areas. The bytes of trapped pages that are neither
/// table nor pending bits go to the device. The guest's layout is the device's: nothing is relocated (VFIO-4).
/// </remarks>
public static class BarPlanner
{
    /// <summary>Plans one BAR.</summary>
    /// <param name="request">What is known of it.</param>
    /// <exception cref="ArgumentException">
    /// A page size that is no power of two, or a range that does not lie in the BAR: the caller checks what a device says.
    /// </exception>
    public static BarPlan Plan(BarRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (!System.Numerics.BitOperations.IsPow2(request.PageSize))
        {
            throw new ArgumentException($"0x{request.PageSize:x} is no page size", nameof(request));
        }

        List<BarPiece> tables = Tables(request);
        List<RegionArea> trapped = TrappedPages(request, tables);
        List<RegionArea> mappings = HostMappings(request, trapped);
        var mapped = new List<BarPiece>();
        for (int i = 0; i < mappings.Count; i++)
        {
            foreach (RegionArea part in Cut(mappings[i], trapped))
            {
                mapped.Add(new BarPiece(BarPieceKind.Mapped, part.Offset, part.Length, i));
            }
        }

        // A host mapping of which the guest gets nothing is not made.
        var used = mapped.Select(piece => piece.Mapping).Distinct().ToList();
        var pieces = mapped.Select(piece => piece with { Mapping = used.IndexOf(piece.Mapping) })
            .Concat(tables)
            .OrderBy(piece => piece.Offset)
            .ToList();
        return new BarPlan(used.Select(index => mappings[index]).ToList(), Fill(pieces, request.Size));
    }

    /// <summary>Plans a BAR of which nothing can be mapped.</summary>
    /// <param name="request">What is known of it; its mappable areas are not used.</param>
    public static BarPlan PlanTrapped(BarRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return Plan(request with { MappableAreas = [] });
    }

    private static List<BarPiece> Tables(BarRequest request)
    {
        var tables = new List<BarPiece>();
        if (request.Table is { } table)
        {
            tables.Add(new BarPiece(BarPieceKind.Table, table.Offset, table.Length));
        }

        if (request.PendingBits is { } pending)
        {
            tables.Add(new BarPiece(BarPieceKind.PendingBits, pending.Offset, pending.Length));
        }

        foreach (BarPiece piece in tables)
        {
            RequireInside(new RegionArea(piece.Offset, piece.Length), request.Size);
        }

        if (tables is [var first, var second] && first.Offset < second.Offset + second.Length && second.Offset < first.Offset + first.Length)
        {
            throw new ArgumentException("MSI-X table and pending bits overlap", nameof(request));
        }

        return tables;
    }

    /// <summary>Every page of which a byte is trapped: sorted, merged, not overlapping.</summary>
    private static List<RegionArea> TrappedPages(BarRequest request, List<BarPiece> tables)
    {
        var pages = new List<(ulong Start, ulong End)>();
        foreach (RegionArea range in request.Trapped.Concat(tables.Select(piece => new RegionArea(piece.Offset, piece.Length))))
        {
            RequireInside(range, request.Size);
            pages.Add((range.Offset & ~(request.PageSize - 1), RoundUp(range.Offset + range.Length, request.PageSize)));
        }

        pages.Sort();
        var merged = new List<(ulong Start, ulong End)>();
        foreach ((ulong Start, ulong End) range in pages)
        {
            if (merged.Count != 0 && range.Start <= merged[^1].End)
            {
                merged[^1] = (merged[^1].Start, Math.Max(merged[^1].End, range.End));
            }
            else
            {
                merged.Add(range);
            }
        }

        return merged.ConvertAll(range => new RegionArea(range.Start, range.End - range.Start));
    }

    /// <summary>What the host maps: the device's areas as they are, or around the table's pages where a mapping must not contain these.</summary>
    private static List<RegionArea> HostMappings(BarRequest request, List<RegionArea> trapped)
    {
        var mappings = new List<RegionArea>();
        ulong end = 0;
        foreach (RegionArea area in request.MappableAreas.OrderBy(area => area.Offset))
        {
            bool whole = area.Length != 0 && (area.Offset & (request.PageSize - 1)) == 0 && (area.Length & (request.PageSize - 1)) == 0;
            if (!whole || !GuestRange.Fits(area.Offset, area.Length, request.Size) || area.Offset < end)
            {
                continue;
            }

            end = area.Offset + area.Length;
            if (request.TableIsMappable || request.Table is null)
            {
                mappings.Add(area);
            }
            else
            {
                mappings.AddRange(Cut(area, trapped));
            }
        }

        return mappings;
    }

    /// <summary>What is left of an area without some sorted ranges.</summary>
    private static IEnumerable<RegionArea> Cut(RegionArea area, List<RegionArea> holes)
    {
        ulong start = area.Offset;
        ulong end = area.Offset + area.Length;
        foreach (RegionArea hole in holes)
        {
            if (hole.Offset >= end)
            {
                break;
            }

            if (hole.Offset > start)
            {
                yield return new RegionArea(start, hole.Offset - start);
            }

            start = Math.Max(start, hole.Offset + hole.Length);
        }

        if (start < end)
        {
            yield return new RegionArea(start, end - start);
        }
    }

    private static List<BarPiece> Fill(List<BarPiece> pieces, ulong size)
    {
        var all = new List<BarPiece>();
        ulong at = 0;
        foreach (BarPiece piece in pieces)
        {
            if (piece.Offset > at)
            {
                all.Add(new BarPiece(BarPieceKind.Trapped, at, piece.Offset - at));
            }

            all.Add(piece);
            at = piece.Offset + piece.Length;
        }

        if (at < size)
        {
            all.Add(new BarPiece(BarPieceKind.Trapped, at, size - at));
        }

        return all;
    }

    private static void RequireInside(RegionArea range, ulong size)
    {
        if (range.Length == 0 || !GuestRange.Fits(range.Offset, range.Length, size))
        {
            throw new ArgumentException($"0x{range.Length:x} bytes at 0x{range.Offset:x} do not lie inside a BAR of 0x{size:x}", nameof(range));
        }
    }

    private static ulong RoundUp(ulong value, ulong unit) => (value + unit - 1) & ~(unit - 1);
}
