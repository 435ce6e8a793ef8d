using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using Vmm.Cli;
using Vmm.Conformance;
using Vmm.Tests.Cli;
using Vmm.Tests.Fakes;

namespace Vmm.Tests.Conformance;

/// <summary><c>vmm conformance</c>.</summary>
public sealed class CommandTests
{
    [Fact]
    public void A_run_that_passes_ends_with_status_0_and_a_total()
    {
        VmmResult result = VmmProcess.Run("conformance", "--model", "rng", "--only", "VTP-ID-VENDOR", "--only", "vtp-id-device");
        result.Status.Should().Be(0);
        result.Error.Should().BeEmpty();
        result.Output.Should().Contain("rng: 2 checks").And.Contain("rng: 2 passed, 0 failed, 0 skipped");
    }

    [Fact]
    public void The_words_of_a_model_make_another_device()
    {
        VmmResult result = VmmProcess.Run("conformance", "--model", "blk,vectors=0,packed=on", "--only", "MSIX-DELIVER");
        result.Status.Should().Be(0);
        result.Output.Should().Contain("blk,vectors=0,packed=on: 0 passed, 0 failed, 1 skipped")
            .And.MatchRegex("skipped 1: there is no MSI-X capability\\s+MSIX-DELIVER");
    }

    [Fact]
    public void All_is_every_model()
    {
        VmmResult result = VmmProcess.Run("conformance", "--model", "all,iommu=on", "--only", "VTP-FEATURE-LEAST");
        result.Status.Should().Be(0);
        result.Output.Should().ContainAll("blk,iommu=on: 1 passed", "net,iommu=on: 1 passed", "rng,iommu=on: 1 passed", "console,iommu=on: 1 passed",
            "balloon,iommu=on: 1 passed");
    }

    [Fact]
    public void The_report_for_programs_says_the_same()
    {
        using var file = new TemporaryFile([]);
        VmmProcess.Run("conformance", "--model", "rng,vectors=0", "--only", "VTP-ID-VENDOR", "--only", "MSIX-DELIVER", "--json", file.Path)
            .Status.Should().Be(0);

        using var report = JsonDocument.Parse(File.ReadAllText(file.Path));
        JsonElement target = report.RootElement.GetProperty("targets")[0];
        report.RootElement.GetProperty("kind").GetString().Should().Be("conformance-report");
        report.RootElement.GetProperty("version").GetInt32().Should().Be(1);
        target.GetProperty("target").GetString().Should().Be("rng,vectors=0");
        (target.GetProperty("passed").GetInt32(), target.GetProperty("skipped").GetInt32(), target.GetProperty("failed").GetInt32())
            .Should().Be((1, 1, 0));
        JsonElement[] checks = [.. target.GetProperty("checks").EnumerateArray()];
        checks.Select(check => check.GetProperty("verdict").GetString()).Should().Equal("pass", "skip");
        checks[0].TryGetProperty("reason", out _).Should().BeFalse();
        checks[1].GetProperty("reason").GetString().Should().Be("there is no MSI-X capability");
    }

    [Fact]
    public void The_list_has_every_check()
    {
        VmmResult result = VmmProcess.Run("conformance", "--list");
        result.Status.Should().Be(0);
        result.Output.Should().ContainAll(CheckCatalogue.All.Select(check => check.Id)).And.Contain($"{CheckCatalogue.All.Count} checks");
    }

    [Theory]
    [InlineData("--model", "--json", "x")]
    [InlineData("--model toaster", "--model", "toaster")]
    [InlineData("unknown word 'colour'", "--model", "blk,colour=red")]
    [InlineData("--model toaster,packed=on: want blk, net, rng, console, balloon or all", "--model", "toaster,packed=on")]
    [InlineData("want blk, net, rng, console, balloon or all", "--model", "")]
    [InlineData("unknown word 'num_queues'", "--model", "rng,num_queues=2")]
    [InlineData("unknown word 'num_queues'", "--model", "all,num_queues=2")]
    [InlineData("--model packed=maybe: neither on nor off", "--model", "all,packed=maybe")]
    [InlineData("--model path=/dev/sda: 'path' is given twice (the words of this model begin with path=scratch)", "--model", "blk,path=/dev/sda")]
    [InlineData("an empty word", "--model", "blk,")]
    [InlineData("not a power of two", "--model", "blk,queue_size=100")]
    [InlineData("--only NO-SUCH", "--model", "blk", "--only", "NO-SUCH")]
    [InlineData("given twice", "--model", "blk", "--json", "a", "--json", "b")]
    [InlineData("--json: an empty path", "--model", "blk", "--json", "")]
    public void Wrong_options(string named, params string[] arguments)
    {
        VmmProcess.Run(["conformance", .. arguments]).ShouldHaveFailed(2, named);
    }

    [Fact]
    public void The_scratch_file_of_a_disk_leaves_nothing_behind()
    {
        string folder = Directory.CreateTempSubdirectory("vmmdevices-scratch").FullName;
        try
        {
            var environment = new Dictionary<string, string?> { ["TMPDIR"] = folder };
            string[] words = ["conformance", "--model", "blk", "--only", "BLK-WRITE"];
            VmmProcess.RunProgram(VmmProcess.Command, words, environment).Status.Should().Be(0);
            Directory.EnumerateFileSystemEntries(folder).Should().BeEmpty();

            environment["TMPDIR"] = folder + "/none";
            VmmProcess.RunProgram(VmmProcess.Command, words, environment)
                .ShouldHaveFailed(1, $"--model blk: {folder}/none/: no scratch file can be made here");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("/no/such/folder/report", "no such folder")]
    [InlineData("/proc", "is a directory")]
    public void A_report_that_cannot_be_written_is_a_failure_of_the_host(string path, string reason)
    {
        VmmProcess.Run("conformance", "--model", "rng", "--only", "VTP-ID-VENDOR", "--json", path)
            .Should().Be(new VmmResult(1, "", $"vmm: --json {path}: cannot be written: {reason}\n"));
    }

    [Fact]
    public void A_report_that_does_not_fit_is_a_failure_of_the_host_too()
    {
        VmmResult result = VmmProcess.Run("conformance", "--model", "rng", "--only", "VTP-ID-VENDOR", "--json", "/dev/full");
        result.Status.Should().Be(1);
        result.Error.Should().Be("vmm: --json /dev/full: cannot be written: No space left on device\n");
    }

    [Fact]
    public void A_failure_is_shown_with_section_expected_and_seen_and_ends_with_status_1()
    {
        Check check = CheckCatalogue.Find("VTP-ID-VENDOR")!;
        var report = new ConformanceReport(
            "mine", [new CheckResult(check, CheckVerdict.Fail, "this", "that", null, TimeSpan.Zero)], TimeSpan.FromSeconds(1));
        var output = new StringWriter();
        var printer = new ConformancePrinter(output);
        printer.Begin(new ConformanceTarget { Name = "mine", Access = null! }, 1);
        printer.Add(report.Results[0]);
        printer.End(report);

        output.ToString()
            .Should().MatchRegex($"FAIL VTP-ID-VENDOR: {check.Requirement}\\s+section +virtio 1.2, 4.1.2.1\\s+expected +this\\s+seen +that")
            .And.Contain("mine: 0 passed, 1 failed, 0 skipped in 1.0 s");
        ConformanceCommand.StatusOf([report]).Should().Be(1);
    }
}
