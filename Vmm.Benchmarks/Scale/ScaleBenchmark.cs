using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using Vmm.Benchmarks.Bus;
using Vmm.Benchmarks.Charts;
using Vmm.Machine;
using Vmm.Machine.Catalogue;

namespace Vmm.Benchmarks.Scale;

/// <summary>
/// <c>scale [FOLDER]</c>: how costs grow: an access with the ranges on the bus, a machine with its devices. With a folder, the figures go there as
/// Markdown and as pictures.
/// </summary>
internal static class ScaleBenchmark
{
    private const int Rounds = 7;

    private static readonly int[] DeviceCounts = [1, 2, 4, 8, 16, 31];

    public static int Run(string? folder)
    {
        // Until the code is what it will be.
        _ = (Dispatch(32), Dispatch(32), Machine(8));
        (double Ranges, double Nanoseconds)[] dispatch = [.. Powers(4096).Select(static count => ((double)count, Dispatch(count)))];
        (double Devices, double Milliseconds)[] machines = [.. DeviceCounts.Select(static count => ((double)count, Machine(count)))];
        var text = new StringBuilder();
        text.AppendLine("# How costs grow").AppendLine();
        Table(text, "ranges on the bus", "ns a random 4-byte read", dispatch);
        Table(text, "devices in the machine", "ms to make it and to place its devices", machines);
        Console.Write(text);
        if (folder is not null)
        {
            Directory.CreateDirectory(folder);
            File.WriteAllText(Path.Combine(folder, "scale.md"), text.ToString());
            File.WriteAllText(
                Path.Combine(folder, "scale-bus.svg"),
                new LineChart("An access against the ranges on the bus", "ranges", "ns a read").Add(Order(dispatch), dispatch).ToString());
            File.WriteAllText(
                Path.Combine(folder, "scale-devices.svg"),
                new LineChart("A machine against its devices", "devices", "ms to make it").Add(Order(machines), machines).ToString());
        }

        return 0;
    }

    private static void Table(StringBuilder text, string size, string figure, IReadOnlyList<(double X, double Y)> points)
    {
        text.AppendLine(CultureInfo.InvariantCulture, $"| {size} | {figure} |").AppendLine("|---:|---:|");
        foreach ((double x, double y) in points)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"| {x:F0} | {y:F2} |");
        }

        text.AppendLine().AppendLine(CultureInfo.InvariantCulture, $"Fitted: {Order(points)}.").AppendLine();
    }

    private static string Order(IReadOnlyList<(double X, double Y)> points) =>
        string.Create(CultureInfo.InvariantCulture, $"grows as n^{PowerFit.Exponent(points):F2}");

    private static IEnumerable<int> Powers(int most)
    {
        for (int power = 1; power <= most; power *= 2)
        {
            yield return power;
        }
    }

    private static double Dispatch(int count)
    {
        var bus = new Dispatch(count, static _ => new BenchmarkDevice());
        return Best(300, () => bus.ReadRandom()) / Bus.Dispatch.Operations * 1e9;
    }

    private static double Machine(int count)
    {
        DeviceOptions[] devices = [.. Enumerable.Range(0, count).Select(static i => new EntropyOptions { Id = $"rng{i}" })];
        return Best(20, () => MachinePreview.Create(new MachineOptions { KernelPath = "", Devices = devices }).Dispose()) * 1e3;
    }

    /// <summary>Seconds of a call in the best of several rounds.</summary>
    private static double Best(int calls, Action action)
    {
        double best = double.MaxValue;
        for (int round = 0; round < Rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < calls; i++)
            {
                action();
            }

            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds / calls);
        }

        return best;
    }
}
