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
    /// <summary>Queues of the device; 0 of a function that is not virtio's.</summary>
    public int Queues { get; init; }

    /// <summary>Indices of the queues that gave buffers back, in order.</summary>
    public IReadOnlyList<int> ExercisedQueues { get; init; } = [];

    /// <summary>
    /// Nobody says how a request to the device looks, so that checks of its queues asked nothing and none gave a buffer back: it is not known what
    /// the device does with them.
    /// </summary>
    public bool NothingAsked { get; init; }

    /// <summary>No check failed, and what was to be asked of queues was asked.</summary>
    public bool Passed => Count(CheckVerdict.Fail) == 0 && !NothingAsked;

    /// <summary>How many checks ended with a verdict.</summary>
    /// <param name="verdict">The verdict.</param>
    public int Count(CheckVerdict verdict) => Results.Count(result => result.Verdict == verdict);
}
