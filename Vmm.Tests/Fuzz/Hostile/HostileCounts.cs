using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>How far drivers got with lying devices.</summary>
internal sealed class HostileCounts
{
    public long Devices { get; set; }

    public long Operations { get; set; }

    /// <summary>Drivers that had a device started.</summary>
    public long Started { get; set; }

    public long Submitted { get; set; }

    public long Completed { get; set; }

    /// <summary>Devices whose memory stays mapped for good.</summary>
    public long Abandoned { get; set; }

    /// <summary>Refusals by the step that they name.</summary>
    public SortedDictionary<string, long> Refusals { get; } = [];

    public void Refused(string step) => Refusals[step] = Refusals.GetValueOrDefault(step) + 1;

    public override string ToString()
    {
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{Devices} devices, {Operations} operations, {Started} started, {Submitted} submitted, {Completed} completed, "
            + $"{Abandoned} abandoned; refusals: {string.Join(", ", Refusals.Select(static r => $"{r.Key} {r.Value}"))}");
    }
}
