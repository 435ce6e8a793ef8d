namespace Vmm.Conformance.Reports;

/// <summary>One check in a JSON report.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Group">The subject it belongs to.</param>
/// <param name="Section">Where the requirement stands.</param>
/// <param name="Requirement">The requirement.</param>
/// <param name="Severity"><c>requirement</c> or <c>recommendation</c>.</param>
/// <param name="Verdict"><c>pass</c>, <c>fail</c>, <c>advice</c> or <c>skip</c>.</param>
/// <param name="Expected">What was expected, if the device fell short.</param>
/// <param name="Seen">What was seen instead.</param>
/// <param name="Reason">Why it was skipped.</param>
/// <param name="Milliseconds">How long it took.</param>
public sealed record CheckRecord(
    string Id, string Group, string Section, string Requirement, string Severity, string Verdict, string? Expected, string? Seen, string? Reason,
    double Milliseconds);
