using System.Collections.Generic;

namespace Vmm.Tests.Fuzz;

/// <summary>What went wrong.</summary>
/// <param name="Reason">The oracle and what it saw.</param>
/// <param name="Index">About which operation; the list up to there is what led to it.</param>
/// <param name="Operations">What was done on this machine.</param>
internal sealed record FuzzFailure(string Reason, int Index, IReadOnlyList<FuzzOperation> Operations);
