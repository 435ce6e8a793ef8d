using System;
using System.Linq;
using Vmm.Conformance;

namespace Vmm.Tests.Conformance;

/// <summary>A function that is no virtio device is checked as a PCI function alone, unless it is known to be one.</summary>
public sealed class PlainFunctionTests
{
    private const string Reason = "it is not a virtio function";

    [Fact]
    public void A_function_of_another_vendor_passes_with_the_virtio_groups_skipped()
    {
        using var function = new CheckedFunction("foreign");
        ConformanceReport report = ConformanceRun.Execute(function.Target);

        report.Results.Where(result => result.Verdict is CheckVerdict.Fail or CheckVerdict.Advice).Select(result => result.Check.Id)
            .Should().BeEmpty();
        report.Results.Where(result => result.Reason == Reason).Select(result => result.Check)
            .Should().Equal(CheckCatalogue.All.Where(check => check.Section.StartsWith("virtio", StringComparison.Ordinal)));
        report.Results.Should().Contain(result => result.Check.Id == "PCI-HEADER-VENDOR" && result.Verdict == CheckVerdict.Pass);
    }

    [Fact]
    public void A_virtio_device_that_denies_it_has_failed()
    {
        using var function = new CheckedFunction("foreign");
        ConformanceReport report = ConformanceRun.Execute(function.Target with { IsVirtio = true });
        report.Results.Should().NotContain(result => result.Reason == Reason);
        report.Results.Single(result => result.Check.Id == "VTP-ID-VENDOR").Verdict.Should().Be(CheckVerdict.Fail);
    }

    [Fact]
    public void A_function_with_virtios_ids_and_nothing_behind_them_is_not_let_off()
    {
        using var function = new CheckedFunction("ports");
        ConformanceReport report = ConformanceRun.Execute(function.Target);
        report.Results.Should().NotContain(result => result.Reason == Reason).And.Contain(result => result.Verdict == CheckVerdict.Fail);
    }
}
