using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using Vmm.Conformance;
using Vmm.Conformance.Models;
using Vmm.Conformance.Reports;
using Vmm.Vfio;
using Vmm.Virtio.Devices;

namespace Vmm.Cli;

/// <summary><c>vmm conformance</c>: checks devices from the driver's side.</summary>
public sealed class ConformanceCommand
{
    private readonly Option<string[]> _model = Text(
        "--model", ModelOptionParser.Form,
        "A virtio device of our own, made for the run; also ring_reset=off, notification_data=on, and for blk num_queues=N; may be repeated");

    private readonly Option<string[]> _device = Text(
        "--device", "path=FOLDER,...",
        "A device of the host by its folder in /sys/bus/pci/devices, bound to vfio-pci; "
        + "with scratch=on what it stores is overwritten; may be repeated");

    private readonly Option<string[]> _json = Text("--json", "FILE", "Write a JSON report");
    private readonly Option<string[]> _only = Text("--only", "ID", "Run this check alone; may be repeated");
    private readonly Option<bool> _list = new("--list") { Description = "List the checks instead of running them" };

    /// <summary>The <c>conformance</c> command with its options.</summary>
    public Command Create()
    {
        return new Command("conformance", "Checks devices against the specifications of virtio and PCI, from the driver's side")
        {
            _model, _device, _json, _only, _list,
        };
    }

    /// <summary>Does what a parsed command line says.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="output">Where the results are shown.</param>
    /// <param name="error">Where a failure of the host is named; standard error without it.</param>
    /// <returns>The exit status.</returns>
    /// <exception cref="UsageException">A value is wrong.</exception>
    public int Execute(ParseResult result, TextWriter output, TextWriter? error)
    {
        IReadOnlyList<Check> checks = ReadChecks(result.GetValue(_only) ?? []);
        if (result.GetValue(_list))
        {
            ConformancePrinter.List(output, checks);
            return ExitStatus.Success;
        }

        string[] json = result.GetValue(_json) ?? [];
        if (json.Length > 1)
        {
            throw new UsageException(_json.Name, json[1], "is given twice");
        }

        List<ModelOptions> models = [.. (result.GetValue(_model) ?? []).SelectMany(ModelOptionParser.Read)];
        List<Func<HostFunction>> devices = [.. (result.GetValue(_device) ?? []).Select(text => HostFunction.Read(_device.Name, text))];
        if (models.Count + devices.Count == 0)
        {
            throw new UsageException(_model.Name, null, $"is needed: the device to check (or {_device.Name})");
        }

        try
        {
            using FileStream? file = json is [string path] ? File.Create(path) : null;
            var reports = new List<ConformanceReport>();
            foreach (ModelOptions model in models)
            {
                using var function = new ModelFunction(model);
                reports.Add(Check(function.Target, checks, output));
            }

            foreach (Func<HostFunction> take in devices)
            {
                using HostFunction function = take();
                reports.Add(Check(function.Target, checks, output));
            }

            if (file is not null)
            {
                ReportDocument.Create(reports).Write(file);
            }

            return StatusOf(reports);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or BackendException or VfioException)
        {
            return VmmCommand.Fail(error, e.Message, ExitStatus.HostFailed);
        }
    }

    /// <summary>The exit status of some runs.</summary>
    /// <param name="reports">The runs.</param>
    public static int StatusOf(IEnumerable<ConformanceReport> reports) =>
        reports.All(report => report.Passed) ? ExitStatus.Success : ExitStatus.ChecksFailed;

    /// <summary>Every kind of target comes through here.</summary>
    private static ConformanceReport Check(ConformanceTarget target, IReadOnlyList<Check> checks, TextWriter output)
    {
        var printer = new ConformancePrinter(output);
        printer.Begin(target, checks.Count);
        ConformanceReport report = ConformanceRun.Execute(target, checks, ended: printer.Add);
        printer.End(report);
        return report;
    }

    private static IReadOnlyList<Check> ReadChecks(string[] ids)
    {
        return ids.Length == 0
            ? CheckCatalogue.All
            : [.. ids.Select(id => CheckCatalogue.Find(id) ?? throw new UsageException("--only", id, "no check has this id; --list shows them"))];
    }

    private static Option<string[]> Text(string name, string form, string description)
    {
        return new Option<string[]>(name) { HelpName = form, Description = description, Arity = ArgumentArity.OneOrMore };
    }
}
