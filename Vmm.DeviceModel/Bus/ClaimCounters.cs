using Vmm.DeviceModel.Epochs;

namespace Vmm.DeviceModel.Bus;

/// <summary>How often a claim was accessed (BUS-10).</summary>
/// <param name="Reads">Pieces read.</param>
/// <param name="Writes">Pieces written.</param>
public readonly record struct ClaimCounters(long Reads, long Writes)
{
    /// <summary>The counts of a pair of positions so far.</summary>
    internal static ClaimCounters At(AccessDomain domain, int position)
    {
        (long reads, long writes) = domain.Sum(position);
        return new ClaimCounters(reads, writes);
    }

    internal ClaimCounters Plus(ClaimCounters other) => new(Reads + other.Reads, Writes + other.Writes);

    internal ClaimCounters Minus(ClaimCounters other) => new(Reads - other.Reads, Writes - other.Writes);
}
