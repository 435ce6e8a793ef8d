using System.Collections.Generic;

namespace Vmm.Pci.Access;

/// <summary>What is known of a BAR that is to be planned. The two MSI-X ranges lie inside the BAR and do not overlap.</summary>
public sealed record BarRequest
{
    /// <summary>Bytes of the BAR.</summary>
    public required ulong Size { get; init; }

    /// <summary>Bytes of a host page, a power of two.</summary>
    public required ulong PageSize { get; init; }

    /// <summary>What the device says can be mapped; areas that are no whole pages, leave the BAR or overlap an earlier one are not used.</summary>
    public IReadOnlyList<RegionArea> MappableAreas { get; init; } = [];

    /// <summary>The MSI-X table may be inside a host mapping.</summary>
    public bool TableIsMappable { get; init; }

    /// <summary>The MSI-X table, or null if it is not in this BAR.</summary>
    public RegionArea? Table { get; init; }

    /// <summary>The MSI-X pending bit array, or null if it is not in this BAR.</summary>
    public RegionArea? PendingBits { get; init; }

    /// <summary>Other ranges that its user must not reach by a mapping, inside the BAR.</summary>
    public IReadOnlyList<RegionArea> Trapped { get; init; } = [];
}
