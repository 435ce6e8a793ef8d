using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Vmm.Benchmarks.Bus;
using Vmm.Benchmarks.Harness;
using Vmm.Benchmarks.Io;
using Vmm.Benchmarks.Kvm;
using Vmm.Benchmarks.Model;
using Vmm.Benchmarks.Net;
using Vmm.Benchmarks.Pci;
using Vmm.Benchmarks.Scale;
using Vmm.Benchmarks.Virtio;

namespace Vmm.Benchmarks;

/// <summary>
/// <c>micro [--quick] [--check] [AREA]...</c>: measures the hot paths against the peers' figures; the other words are programs of their own.
/// </summary>
internal static class Program
{
    /// <summary>Every area; a new one is added here.</summary>
    private static readonly IBenchmarkArea[] Areas =
    [
        new BusArea(),
        new PciArea(),
        new MsixArea(),
        new ModelArea(),
        new ExitArea(),
        new RingArea(),
        new VirtioArea(),
    ];

    private static int Main(string[] words) => words switch
    {
        ["exits", .. string[] rest] => ExitIntervals.Run(rest.Length > 0 && int.TryParse(rest[0], out int millions) && millions > 0 ? millions : 1),
        ["io", .. string[] rest] => IoBenchmark.Run(rest),
        ["net", .. string[] rest] => NetBenchmark.Run(rest),
        ["scale", .. string[] rest] => ScaleBenchmark.Run(rest.FirstOrDefault()),
        _ => Micro(words),
    };

    private static int Micro(string[] words)
    {
        bool quick = false;
        bool check = false;
        var chosen = new List<IBenchmarkArea>();
        foreach (string word in words.SkipWhile((word, index) => index == 0 && word == "micro"))
        {
            quick |= word == "--quick";
            check |= word == "--check";
            if (word is "--quick" or "--check")
            {
                continue;
            }

            IBenchmarkArea? area = Array.Find(Areas, area => area.Name == word);
            if (area is null)
            {
                Console.Error.WriteLine($"error: no area '{word}'; there are: {string.Join(' ', Areas.Select(area => area.Name))}");
                return 2;
            }

            chosen.Add(area);
        }

        string pgo = Environment.GetEnvironmentVariable("DOTNET_TieredPGO") == "0" ? "tiered PGO off" : "tiered PGO on";
        // The switch of the runtime says "no" to either, since the project is made for machine code.
        bool isCompiled = File.Exists(Path.Combine(AppContext.BaseDirectory, "Vmm.Benchmarks.dll"));
        string code = isCompiled ? $"compiled as it runs, {pgo}" : "published as machine code";
        Console.WriteLine(
            $".NET {Environment.Version}, {code}, {Environment.ProcessorCount} processors; "
            + "ratio = ours / theirs; calibr. = the same on a machine as fast as theirs");
        var report = new Report(Console.Out, new Sampler(quick));
        report.Calibrate();
        foreach (IBenchmarkArea area in chosen.Count > 0 ? chosen : [.. Areas])
        {
            report.Run(area);
        }

        report.CheckCalibration();
        Console.WriteLine();
        Console.WriteLine(report.Missed.Count == 0
            ? $"every goal is met within a factor of 2, nothing allocates (sink {BlackBox.Sink:x})"
            : $"missed by more than a factor of 2, or allocating: {string.Join("; ", report.Missed)} (sink {BlackBox.Sink:x})");
        return check && report.Missed.Count > 0 ? 1 : 0;
    }
}
