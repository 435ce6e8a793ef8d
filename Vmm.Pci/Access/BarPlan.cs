using System.Collections.Generic;
using System.Linq;

namespace Vmm.Pci.Access;

/// <summary>How a BAR is given to its user, a guest or a driver: what the host maps of it, and the parts that the user sees.</summary>
/// <param name="Mappings">The host's mappings of the device, sorted; exactly the device's areas where these may be mapped whole.</param>
/// <param name="Pieces">The parts, sorted; together they are every byte of the BAR once.</param>
public sealed record BarPlan(IReadOnlyList<RegionArea> Mappings, IReadOnlyList<BarPiece> Pieces)
{
    /// <summary>Bytes that the user reaches without an exit or a call.</summary>
    public ulong MappedLength => Pieces.Where(piece => piece.Kind == BarPieceKind.Mapped).Aggregate(0ul, (sum, piece) => sum + piece.Length);
}
