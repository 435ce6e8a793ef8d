using System;

namespace Vmm.Conformance;

/// <summary>What came of one check on one device.</summary>
/// <param name="Check">The check.</param>
/// <param name="Verdict">The verdict.</param>
/// <param name="Expected">What was expected; null unless the device fell short.</param>
/// <param name="Seen">What was seen instead.</param>
/// <param name="Reason">Why it was skipped; null unless it was.</param>
/// <param name="Duration">How long it took, without bringing the device back to its known state.</param>
public sealed record CheckResult(Check Check, CheckVerdict Verdict, string? Expected, string? Seen, string? Reason, TimeSpan Duration);
