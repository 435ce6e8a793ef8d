using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;

namespace Vmm.Conformance.Reports;

/// <summary>A JSON report: <c>{ "kind": "conformance-report", "version": 1, "targets": [ ... ] }</c>.</summary>
/// <param name="Kind">Always <c>conformance-report</c>.</param>
/// <param name="Version">1; grows when a member changes its meaning.</param>
/// <param name="Targets">The devices that were checked.</param>
public sealed record ReportDocument(string Kind, int Version, IReadOnlyList<TargetRecord> Targets)
{
    /// <summary>Makes the document of some runs.</summary>
    /// <param name="reports">The runs.</param>
    public static ReportDocument Create(IEnumerable<ConformanceReport> reports) => new("conformance-report", 1, [.. reports.Select(Convert)]);

    /// <summary>Writes it.</summary>
    /// <param name="stream">Where to.</param>
    public void Write(Stream stream) => JsonSerializer.Serialize(stream, this, ReportJsonContext.Default.ReportDocument);

    private static TargetRecord Convert(ConformanceReport report) => new(
        report.Target,
        report.Count(CheckVerdict.Pass),
        report.Count(CheckVerdict.Fail),
        report.Count(CheckVerdict.Advice),
        report.Count(CheckVerdict.Skip),
        report.Queues,
        report.ExercisedQueues,
        Milliseconds(report.Duration),
        [.. report.Results.Select(Convert)]);

    private static CheckRecord Convert(CheckResult result) => new(
        result.Check.Id,
        CheckCatalogue.GroupOf(result.Check)?.Title ?? string.Empty,
        result.Check.Section,
        result.Check.Requirement,
        result.Check.Severity.ToString().ToLowerInvariant(),
        result.Verdict.ToString().ToLowerInvariant(),
        result.Expected,
        result.Seen,
        result.Reason,
        Milliseconds(result.Duration));

    private static double Milliseconds(TimeSpan time) => Math.Round(time.TotalMilliseconds, 3);
}
