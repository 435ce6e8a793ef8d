using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using Vmm.Cli;
using Vmm.Conformance;
using Vmm.Conformance.Reports;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Conformance;

/// <summary>A run has seen the device at work, or says that it has not; a target brings the work that the suite does not know.</summary>
[Trait("Behaviour", "CON-7")]
public sealed class WorkTests : IDisposable
{
    private const int Unknown = 5;

    private static readonly QueueWork _work = new() { Queue = 0, Reply = [48, 16] };
    private static readonly RunLimits _short = new() { Check = TimeSpan.FromSeconds(5), Reply = TimeSpan.FromMilliseconds(200) };

    private InProcessFunctionAccess? _access;

    public void Dispose() => _access?.Dispose();

    [Fact]
    public void A_device_that_does_nothing_with_its_queues_has_not_passed()
    {
        ConformanceReport report = ConformanceRun.Execute(Target(silent: true));

        report.Results.Count(result => result.Verdict == CheckVerdict.Pass).Should().BeGreaterThan(100);
        report.Passed.Should().BeFalse("nobody has seen it do anything");
        (report.NothingAsked, report.Queues).Should().Be((true, 1));
        report.ExercisedQueues.Should().BeEmpty();
        ConformanceCommand.StatusOf([report]).Should().NotBe(0);
        Print(report).Should().Contain("mine: NO QUEUE WAS EXERCISED");
    }

    [Fact]
    public void What_asks_for_no_work_passes_without_any()
    {
        ConformanceReport report = ConformanceRun.Execute(Target(silent: true), [CheckCatalogue.Find("VTP-ID-VENDOR")!]);

        (report.Passed, report.NothingAsked).Should().Be((true, false));
        Print(report).Should().Contain("queues exercised: none (of 1)");
    }

    [Fact]
    public void With_work_of_its_own_a_device_that_does_nothing_fails()
    {
        ConformanceReport report = ConformanceRun.Execute(
            Target(silent: true) with { Work = _work }, [Find("VTP-NOTIFY-WRITE"), Find("RING-USED")], _short);

        report.Results.Should().OnlyContain(result => result.Verdict == CheckVerdict.Fail);
        report.ExercisedQueues.Should().BeEmpty();
    }

    [Fact]
    public void With_work_of_its_own_a_device_of_an_unknown_type_is_asked_all_that_the_others_are()
    {
        ConformanceReport report = ConformanceRun.Execute(Target() with { Work = _work });

        report.Results.Where(result => result.Verdict == CheckVerdict.Fail).Should().BeEmpty();
        report.Results.Where(result => result.Reason?.Contains("no work", StringComparison.Ordinal) == true).Should().BeEmpty();
        Check[] work = [.. report.Results.Where(result => result.Verdict == CheckVerdict.Pass).Select(result => result.Check)];
        work.Count(check => (check.Needs & Need.Work) == Need.Work).Should().BeGreaterThan(60);
        report.Passed.Should().BeTrue();
        report.ExercisedQueues.Should().Equal(0);
        Print(report).Should().Contain("mine: queues exercised: 0 (of 1)");
    }

    [Fact]
    public void A_reply_that_is_not_right_fails_with_what_was_expected()
    {
        QueueWork particular = _work with { IsRight = static (reply, length) => length == 64 && reply.Length == 63, RightReply = "a reply of 63 bytes" };
        CheckResult result = ConformanceRun.Execute(Target() with { Work = particular }, [Find("RING-USED")]).Results[0];

        result.Verdict.Should().Be(CheckVerdict.Fail);
        result.Expected.Should().Be("a reply of 63 bytes");
        result.Seen.Should().StartWith("a used length of 64, and 0x");
    }

    [Fact]
    public void The_queues_of_the_devices_that_are_known_are_exercised()
    {
        Exercised("blk,num_queues=3", "BLK-QUEUES").Should().Equal(0, 1, 2);
        Exercised("net", "NET-CONTROL", "NET-RECEIVE", "NET-TRANSMIT").Should().Equal(0, 1, 2);
        Exercised("console", "CON-INPUT", "CON-OUTPUT").Should().Equal(0, 1);
        Exercised("rng", "RNG-LENGTH").Should().Equal(0);
    }

    [Fact]
    public void A_function_that_is_known_to_be_of_a_type_has_its_id()
    {
        Check[] identity = [Find("VTP-ID-DEVICE")];

        ConformanceRun.Execute(Target() with { Kind = (VirtioDeviceType)Unknown }, identity).Passed.Should().BeTrue();
        CheckResult other = ConformanceRun.Execute(Target() with { Kind = VirtioDeviceType.Block }, identity).Results[0];
        other.Verdict.Should().Be(CheckVerdict.Fail);
        (other.Expected, other.Seen).Should().Be(("device type = 0x2", "0x5"));
    }

    public static TheoryData<int, int, int[]> Impossible => new()
    {
        { -1, 1, [] },
        { 0, 0, [] },
        { 0, 1, [0] },
        { 0, QueueWork.MaximumLength, [1] },
    };

    [Theory]
    [MemberData(nameof(Impossible))]
    public void Work_that_cannot_be_made_is_refused(int queue, int request, int[] reply)
    {
        ConformanceTarget target = Target() with { Work = new QueueWork { Queue = queue, Request = new byte[request], Reply = reply } };

        FluentActions.Invoking(() => ConformanceRun.Execute(target, [])).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void The_report_for_programs_says_which_queues()
    {
        using var stream = new MemoryStream();
        ReportDocument.Create([ConformanceRun.Execute(Target() with { Work = _work }, [Find("RING-USED")])]).Write(stream);

        using var document = JsonDocument.Parse(stream.ToArray());
        JsonElement target = document.RootElement.GetProperty("targets")[0];
        target.GetProperty("queues").GetInt32().Should().Be(1);
        target.GetProperty("exercised_queues").EnumerateArray().Select(queue => queue.GetInt32()).Should().Equal(0);
    }

    private static Check Find(string id) => CheckCatalogue.Find(id)!;

    private static IReadOnlyList<int> Exercised(string model, params string[] checks)
    {
        using ModelFunction function = Models.Make(model);
        ConformanceReport report = ConformanceRun.Execute(function.Target, checks.Select(Find));
        report.Results.Should().OnlyContain(result => result.Verdict == CheckVerdict.Pass);
        return report.ExercisedQueues;
    }

    private static string Print(ConformanceReport report)
    {
        using var output = new StringWriter();
        new ConformancePrinter(output).End(report);
        return output.ToString();
    }

    private ConformanceTarget Target(bool silent = false)
    {
        _access?.Dispose();
        _access = new InProcessFunctionAccess(
            dma => new VirtioPciFunction(new RetypedDevice(new EntropyDevice(), Unknown, silent), dma, new VirtioPciOptions { PackedRing = true }));
        return new ConformanceTarget { Name = "mine", Access = _access, Reach = TargetReach.All, IsVirtio = true };
    }
}
