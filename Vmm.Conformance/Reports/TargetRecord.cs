using System.Collections.Generic;

namespace Vmm.Conformance.Reports;

/// <summary>One device in a JSON report.</summary>
/// <param name="Target">Its name.</param>
/// <param name="Passed">Checks that passed.</param>
/// <param name="Failed">Checks that failed.</param>
/// <param name="Advice">Recommendations that are not followed.</param>
/// <param name="Skipped">Checks that said nothing.</param>
/// <param name="Queues">Queues of the device.</param>
/// <param name="ExercisedQueues">Indices of the queues that gave buffers back.</param>
/// <param name="Milliseconds">How long the run took.</param>
/// <param name="Checks">Every check in order.</param>
public sealed record TargetRecord(
    string Target, int Passed, int Failed, int Advice, int Skipped, int Queues, IReadOnlyList<int> ExercisedQueues, double Milliseconds, IReadOnlyList<CheckRecord> Checks);
