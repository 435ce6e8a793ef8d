using System.Collections.Generic;

namespace Vmm.Pci.Access;

/// <summary>What a device says of one of its regions.</summary>
public sealed record BackendRegion
{
    /// <summary>Bytes; 0 for a region that is not there.</summary>
    public required ulong Size { get; init; }

    /// <summary>It can be read.</summary>
    public bool CanRead { get; init; }

    /// <summary>It can be written.</summary>
    public bool CanWrite { get; init; }

    /// <summary>
    /// What can be mapped, as reported: empty for nothing, one area for all of it. Not checked for page alignment or overlap.
    /// </summary>
    public IReadOnlyList<RegionArea> MappableAreas { get; init; } = [];

    /// <summary>The MSI-X table may be inside a mapped area: who maps it keeps the guest off the table all the same.</summary>
    public bool TableIsMappable { get; init; }
}
