namespace Vmm.DeviceModel.Bus;

/// <summary>How often a claim was accessed (BUS-10).</summary>
/// <param name="Reads">Pieces read.</param>
/// <param name="Writes">Pieces written.</param>
public readonly record struct ClaimCounters(long Reads, long Writes)
{
    internal ClaimCounters Plus(ClaimCounters other) => new(Reads + other.Reads, Writes + other.Writes);

    internal ClaimCounters Minus(ClaimCounters other) => new(Reads - other.Reads, Writes - other.Writes);
}
