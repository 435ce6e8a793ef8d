using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Vmm.Conformance;

namespace Vmm.Cli;

/// <summary>Shows a run to a person as it goes: a line a subject, then what a reader has to know.</summary>
public sealed class ConformancePrinter(TextWriter output)
{
    private const int TitleWidth = 34;
    private const int LineWidth = 110;

    private CheckGroup? _group;
    private int _inGroup;

    /// <summary>Lists checks with their subjects, sections and requirements.</summary>
    public static void List(TextWriter output, IReadOnlyList<Check> checks)
    {
        foreach (IGrouping<CheckGroup?, Check> group in checks.GroupBy(CheckCatalogue.GroupOf))
        {
            output.WriteLine(group.Key?.Title);
            foreach (Check check in group)
            {
                output.WriteLine(
                    $"  {check.Id,-34} {check.Requirement}"
                    + $"{(check.Severity == CheckSeverity.Recommendation ? " (recommended)" : "")} [{check.Section}]");
            }
        }

        output.WriteLine($"{checks.Count} checks");
    }

    /// <summary>A run begins.</summary>
    public void Begin(ConformanceTarget target, int checks) => output.WriteLine($"{target.Name}: {checks} checks");

    /// <summary>A check has ended.</summary>
    public void Add(CheckResult result)
    {
        CheckGroup? group = CheckCatalogue.GroupOf(result.Check);
        if (group != _group)
        {
            EndGroup();
            _group = group;
            output.Write($"  {group?.Title.PadRight(TitleWidth)} ");
        }

        output.Write(result.Verdict switch
        {
            CheckVerdict.Pass => '.',
            CheckVerdict.Fail => 'F',
            CheckVerdict.Advice => 'a',
            _ => 's',
        });
        output.Flush();
        _inGroup++;
    }

    /// <summary>The run has ended: what failed, what was advised, what was skipped and why, and the total.</summary>
    public void End(ConformanceReport report)
    {
        EndGroup();
        foreach (CheckResult result in report.Results.Where(r => r.Verdict is CheckVerdict.Fail or CheckVerdict.Advice))
        {
            output.WriteLine();
            output.WriteLine($"  {(result.Verdict == CheckVerdict.Fail ? "FAIL" : "advice")} {result.Check.Id}: {result.Check.Requirement}");
            output.WriteLine($"      section   {result.Check.Section}");
            output.WriteLine($"      expected  {result.Expected}");
            output.WriteLine($"      seen      {result.Seen}");
        }

        List<CheckResult> skipped = [.. report.Results.Where(r => r.Verdict == CheckVerdict.Skip)];
        if (skipped.Count != 0)
        {
            output.WriteLine();
            foreach (IGrouping<string?, CheckResult> reason in skipped.GroupBy(r => r.Reason))
            {
                output.WriteLine($"  skipped {reason.Count()}: {reason.Key}");
                WriteWrapped(reason.Select(r => r.Check.Id));
            }
        }

        output.WriteLine();
        if (report.Queues != 0)
        {
            output.WriteLine(Exercised(report));
        }

        output.WriteLine(Total(report));
        output.WriteLine();
    }

    private void WriteWrapped(IEnumerable<string> words)
    {
        int column = 0;
        foreach (string word in words)
        {
            if (column + word.Length + 1 > LineWidth)
            {
                output.WriteLine();
                column = 0;
            }

            output.Write(column == 0 ? $"      {word}" : $" {word}");
            column += column == 0 ? 6 + word.Length : 1 + word.Length;
        }

        output.WriteLine();
    }

    private static string Exercised(ConformanceReport report)
    {
        string queues = string.Join(", ", report.ExercisedQueues);
        return report.NothingAsked
            ? $"{report.Target}: NO QUEUE WAS EXERCISED ({report.Queues} there are): what the device does with its queues is not known"
            : $"{report.Target}: queues exercised: {(queues.Length == 0 ? "none" : queues)} (of {report.Queues})";
    }

    private static string Total(ConformanceReport report)
    {
        int advice = report.Count(CheckVerdict.Advice);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{report.Target}: {report.Count(CheckVerdict.Pass)} passed, {report.Count(CheckVerdict.Fail)} failed"
            + $"{(advice == 0 ? "" : $", {advice} advice")}, {report.Count(CheckVerdict.Skip)} skipped in {report.Duration.TotalSeconds:0.0} s");
    }

    private void EndGroup()
    {
        if (_inGroup != 0)
        {
            output.WriteLine();
        }

        _inGroup = 0;
        _group = null;
    }
}
