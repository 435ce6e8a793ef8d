using System.Collections.Generic;
using System.Linq;
using Vmm.Pci.Access;

namespace Vmm.Vfio.Passthrough;

/// <summary>How a BAR is given to the guest: what the host maps of it, and the parts that the guest sees.</summary>
/// <param name="Mappings">The host's mappings of the device, sorted; exactly the device's areas where these may be mapped whole.</param>
/// <param name="Pieces">The parts, sorted; together they are every byte of the BAR once.</param>
public sealed record BarPlan(IReadOnlyList<RegionArea> Mappings, IReadOnlyList<BarPiece> Pieces)
{
    /// <summary>Bytes that the guest reaches without an exit.</summary>
    public ulong MappedLength => Pieces.Where(piece => piece.Kind == BarPieceKind.Mapped).Aggregate(0ul, (sum, piece) => sum + piece.Length);
}
