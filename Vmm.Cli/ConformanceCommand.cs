using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using Vmm.Conformance;
using Vmm.Conformance.Reports;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Vfio;

namespace Vmm.Cli;

/// <summary><c>vmm conformance</c>: checks devices from the driver's side.</summary>
public sealed class ConformanceCommand
{
    private readonly DeviceCatalogue _catalogue;
    private readonly Option<string[]> _model;
    private readonly Option<string[]> _device = Text(
        "--device", "path=FOLDER,...",
        "A device of the host by its folder in /sys/bus/pci/devices, bound to vfio-pci; "
        + "with scratch=on what it stores is overwritten; may be repeated");

    private readonly Option<string[]> _json = Text("--json", "FILE", "Write a JSON report");
    private readonly Option<string[]> _only = Text("--only", "ID", "Run this check alone; may be repeated");
    private readonly Option<bool> _list = new("--list") { Description = "List the checks instead of running them" };

    /// <summary>Checks of the devices of a catalogue.</summary>
    /// <param name="catalogue">The catalogue; the library's own without it.</param>
    public ConformanceCommand(DeviceCatalogue? catalogue = null)
    {
        _catalogue = catalogue ?? DeviceCatalogue.Default;
        _model = Text(
            "--model", ModelFunction.FormOf(_catalogue),
            "A device of our own on a back-end that is made for the run, with the words that vmm run has for it; may be repeated");
    }

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
    /// <returns>The exit status.</returns>
    /// <exception cref="UsageException">A value is wrong.</exception>
    /// <exception cref="MachineException">The host gives no file, or not the device.</exception>
    public int Execute(ParseResult result, TextWriter output)
    {
        IReadOnlyList<Check> checks = ReadChecks(result.GetValue(_only) ?? []);
        if (result.GetValue(_list))
        {
            ConformancePrinter.List(output, checks);
            return ExitStatus.Success;
        }

        string? json = ReadJson(result.GetValue(_json) ?? []);
        List<Func<ModelFunction>> models =
            [.. (result.GetValue(_model) ?? []).SelectMany(text => ModelFunction.Read(_model.Name, text, _catalogue))];
        List<Func<HostFunction>> devices = [.. (result.GetValue(_device) ?? []).Select(text => HostFunction.Read(_device.Name, text))];
        if (models.Count + devices.Count == 0)
        {
            throw new UsageException(_model.Name, null, $"is needed: the device to check (or {_device.Name})");
        }

        using FileStream? file = json is null ? null : CreateReport(json);
        var reports = new List<ConformanceReport>();
        foreach (Func<ModelFunction> make in models)
        {
            using ModelFunction function = make();
            reports.Add(Check(function.Target, checks, output));
        }

        try
        {
            foreach (Func<HostFunction> take in devices)
            {
                using HostFunction function = take();
                reports.Add(Check(function.Target, checks, output));
            }
        }
        catch (VfioException e)
        {
            // The message begins with the path.
            throw new MachineException("device", e.Path, e.Message[(e.Path!.Length + 2)..], e);
        }

        if (file is not null)
        {
            WriteReport(file, json!, reports);
        }

        return StatusOf(reports);
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

    /// <summary>Before the checks, which take their time. Without a buffer: closing it has nothing left to write.</summary>
    private static FileStream CreateReport(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CannotBeWritten(path, e);
        }
    }

    private static void WriteReport(FileStream file, string path, IEnumerable<ConformanceReport> reports)
    {
        try
        {
            ReportDocument.Create(reports).Write(file);
        }
        catch (IOException e)
        {
            throw CannotBeWritten(path, e);
        }
    }

    private static MachineException CannotBeWritten(string path, Exception e)
    {
        string reason = e switch
        {
            _ when Directory.Exists(path) => "is a directory",
            DirectoryNotFoundException => "no such folder",
            UnauthorizedAccessException => "permission denied",
            _ => e.Message.Replace($" : '{Path.GetFullPath(path)}'", "", StringComparison.Ordinal),
        };
        return new MachineException("json", path, $"cannot be written: {reason}", e);
    }

    private static string? ReadJson(string[] paths) => paths switch
    {
        [] => null,
        [""] => throw new UsageException("--json", null, "an empty path"),
        [string path] => path,
        _ => throw new UsageException("--json", paths[1], "is given twice"),
    };

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
