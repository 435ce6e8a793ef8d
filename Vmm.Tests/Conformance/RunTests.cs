using System;
using Vmm.Cli;
using Vmm.Conformance;

namespace Vmm.Tests.Conformance;

/// <summary>The runner: it ends whatever a check or a device does, and says what happened.</summary>
public sealed class RunTests : IDisposable
{
    private static readonly RunLimits _short = new() { Check = TimeSpan.FromMilliseconds(200), Reply = TimeSpan.FromMilliseconds(200) };

    private readonly ModelFunction _function = Models.Make("rng");

    public void Dispose() => _function.Dispose();

    [Fact]
    public void A_check_that_returns_has_passed()
    {
        CheckResult result = Run(static _ => { }).Results[0];
        result.Verdict.Should().Be(CheckVerdict.Pass);
        result.Should().BeEquivalentTo(new { Expected = (string?)null, Seen = (string?)null, Reason = (string?)null });
    }

    [Fact]
    public void A_failure_says_what_was_expected_and_seen()
    {
        CheckResult result = Run(static check => check.Equal("the answer", 42, 41)).Results[0];
        result.Verdict.Should().Be(CheckVerdict.Fail);
        result.Expected.Should().Be("the answer = 0x2a");
        result.Seen.Should().Be("0x29");
    }

    [Fact]
    public void A_recommendation_that_is_not_followed_is_advice_and_the_run_has_passed()
    {
        var check = new Check("X-ADVICE", "none", "none", static c => c.Fail("this", "that")) { Severity = CheckSeverity.Recommendation };
        ConformanceReport report = ConformanceRun.Execute(_function.Target, [check]);
        report.Results[0].Verdict.Should().Be(CheckVerdict.Advice);
        report.Passed.Should().BeTrue();
    }

    [Fact]
    public void A_check_that_skips_says_why()
    {
        CheckResult result = Run(static check => check.Skip("no time")).Results[0];
        result.Verdict.Should().Be(CheckVerdict.Skip);
        result.Reason.Should().Be("no time");
    }

    [Fact]
    public void A_need_that_is_not_met_skips_with_its_reason()
    {
        var check = new Check("X-NEED", "none", "none", static c => c.Fail("not to run", "it ran")) { Needs = Need.DeviceConfiguration };
        ConformanceRun.Execute(_function.Target, [check]).Results[0].Reason.Should().Be("there is no device configuration");
    }

    [Fact]
    public void A_feature_that_is_not_offered_skips_by_its_name()
    {
        var check = new Check("X-FEATURE", "none", "none", static c => c.Fail("not to run", "it ran")) { Features = 1UL << 39 };
        ConformanceRun.Execute(_function.Target, [check]).Results[0].Reason.Should().Be("VIRTIO_F_NOTIF_CONFIG_DATA is not offered");
    }

    [Fact]
    public void A_check_that_does_not_end_has_failed_and_the_run_goes_on()
    {
        ConformanceReport report = Run([Looping("X-LOOP"), Passing("X-AFTER")], _short);
        report.Results[0].Verdict.Should().Be(CheckVerdict.Fail);
        report.Results[0].Seen.Should().Be("did not end");
        report.Results[1].Verdict.Should().Be(CheckVerdict.Pass);
    }

    [Fact]
    public void An_access_that_does_not_end_fails_its_check_and_the_rest_is_skipped()
    {
        using var stuck = new StuckAccess(_function.Target.Access);
        var check = new Check("X-STUCK", "none", "none", c =>
        {
            stuck.IsStuck = true;
            c.Access.ReadConfiguration(0, 2);
        });
        ConformanceReport report = ConformanceRun.Execute(_function.Target with { Access = stuck }, [check, Passing("X-AFTER")], _short);
        report.Results[0].Seen.Should().Be("did not end");
        report.Results[1].Verdict.Should().Be(CheckVerdict.Skip);
        report.Results[1].Reason.Should().Contain("X-STUCK");
    }

    [Fact]
    public void An_access_that_throws_fails_its_check()
    {
        CheckResult result = Run(static _ => throw new System.IO.IOException("the wire is cut")).Results[0];
        result.Verdict.Should().Be(CheckVerdict.Fail);
        result.Seen.Should().Contain("the wire is cut");
    }

    [Fact]
    public void Every_check_finds_the_device_reset_and_silent()
    {
        uint line = _function.Target.Access.ReadConfiguration(0x3c, 1);
        line.Should().NotBe(0x55);
        var wreck = new Check("X-WRECK", "none", "none", static c =>
        {
            var driver = new Vmm.Conformance.Driving.RawDriver(c);
            driver.Negotiate();
            driver.SetUpQueue(0);
            driver.Start();
            c.Access.EnableMessages(1, static _ => { });
            c.Access.WriteConfiguration(0x10, 4, 0);
            c.Access.WriteConfiguration(0x3c, 1, 0x55);
            c.Access.WriteConfiguration(4, 2, 0);
        });
        var look = new Check("X-LOOK", "none", "none", c =>
        {
            c.Equal("command", 0x402, c.Access.ReadConfiguration(4, 2) | 0x400);
            c.Equal("interrupt line", line, c.Access.ReadConfiguration(0x3c, 1));
            c.Equal("message control", 0, c.Access.ReadConfiguration(c.Facts.Msix + 2, 2) & 0xc000);
            c.Equal("device_status", 0, new Vmm.Conformance.Driving.RawDriver(c).Get(0x14, 1));
        });
        ConformanceReport report = ConformanceRun.Execute(_function.Target, [wreck, look]);
        report.Results.Should().OnlyContain(result => result.Verdict == CheckVerdict.Pass);
    }

    [Fact]
    public void What_a_check_mapped_is_unmapped_after_it()
    {
        Run(static check => check.Access.MapBuffer(100));
        ((InProcessFunctionAccess)_function.Target.Access).Iovas.Count.Should().Be(0);
    }

    private static Check Passing(string id) => new(id, "none", "none", static _ => { });

    private static Check Looping(string id) => new(id, "none", "none", static check =>
    {
        while (true)
        {
            check.Access.ReadConfiguration(0, 2);
        }
    });

    private ConformanceReport Run(Action<CheckContext> body) => Run([new Check("X-BODY", "none", "none", body)], null);

    private ConformanceReport Run(Check[] checks, RunLimits? limits) => ConformanceRun.Execute(_function.Target, checks, limits);
}
