using System;
using System.Collections.Generic;
using System.Linq;

namespace Vmm.Conformance;

/// <summary>What came of a run.</summary>
/// <param name="Target">Name of the target.</param>
/// <param name="Results">A result for each check, in the order in which they ran.</param>
/// <param name="Duration">How long the run took.</param>
public sealed record ConformanceReport(string Target, IReadOnlyList<CheckResult> Results, TimeSpan Duration)
{
    /// <summary>No check failed.</summary>
    public bool Passed => Count(CheckVerdict.Fail) == 0;

    /// <summary>How many checks ended with a verdict.</summary>
    /// <param name="verdict">The verdict.</param>
    public int Count(CheckVerdict verdict) => Results.Count(result => result.Verdict == verdict);
}
