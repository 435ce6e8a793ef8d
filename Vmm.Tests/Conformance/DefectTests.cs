using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using Vmm.Conformance;

namespace Vmm.Tests.Conformance;

/// <summary>Each check fails on a function that is defective in exactly that, and passes on the same function without the defect.</summary>
public sealed class DefectTests
{
    // A device with a defect is given little time to do right, and more to do wrong; much more if it has been missed.
    private static readonly RunLimits _limits = new()
    {
        Reply = TimeSpan.FromMilliseconds(300),
        Quiet = TimeSpan.FromMilliseconds(300),
        Check = TimeSpan.FromSeconds(20),
    };

    private static readonly RunLimits _patient = _limits with { Quiet = TimeSpan.FromSeconds(5) };

    private static readonly IReadOnlyList<Defect> _defects =
    [
        .. PciDefects.Table, .. InterruptDefects.Table, .. StructureDefects.Table, .. TransportDefects.Table, .. RingDefects.Table,
        .. DeviceDefects.Table,
    ];

    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(60);

    public static TheoryData<string> Defects => [.. _defects.Select(defect => defect.Check)];

    [Fact]
    public void Every_check_has_a_defect()
    {
        CheckCatalogue.All.Select(check => check.Id).Except(_defects.Select(defect => defect.Check)).Should().BeEmpty();
    }

    [Fact]
    public void Every_defect_is_of_a_check_and_none_is_given_twice()
    {
        _defects.Select(defect => defect.Check).Should().OnlyHaveUniqueItems().And.OnlyContain(id => CheckCatalogue.Find(id) != null);
    }

    [Theory]
    [MemberData(nameof(Defects))]
    public void A_check_passes_without_the_defect_and_fails_with_it(string id)
    {
        Defect defect = _defects.First(d => d.Check == id);
        Check check = CheckCatalogue.Find(id)!;
        using (var healthy = new CheckedFunction(defect.Model))
        {
            CheckResult result = ConformanceRun.Execute(healthy.Target, [check]).Results[0];
            result.Verdict.Should().Be(CheckVerdict.Pass, $"expected {result.Expected}, saw {result.Seen}, {result.Reason}");
        }

        // A device serves what it finds in its ring as it begins, told or not. One that begins late hides a lost notification: a check may miss a
        // defect as long as the machine is busy, and never sees one that is not there.
        CheckResult broken = ExecuteWith(defect, check, _limits);
        var clock = Stopwatch.StartNew();
        while (broken.Verdict is (CheckVerdict.Pass or CheckVerdict.Skip) && clock.Elapsed < _patience)
        {
            broken = ExecuteWith(defect, check, _patient);
        }

        broken.Verdict.Should().Be(
            check.Severity == CheckSeverity.Recommendation ? CheckVerdict.Advice : CheckVerdict.Fail, broken.Reason ?? broken.Seen ?? "it passed");
        broken.Expected.Should().NotBeNullOrEmpty();
        broken.Seen.Should().NotBeNullOrEmpty();
        broken.Seen.Should().NotContain("Exception").And.NotBe("did not end");
    }

    private static CheckResult ExecuteWith(Defect defect, Check check, RunLimits limits)
    {
        using var function = new CheckedFunction(defect.Model);
        var access = new DefectiveAccess(function.Target.Access);
        defect.Break(access);
        return ConformanceRun.Execute(function.Target with { Access = access }, [check], limits).Results[0];
    }
}
