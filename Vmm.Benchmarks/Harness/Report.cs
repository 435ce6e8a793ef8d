using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;

namespace Vmm.Benchmarks.Harness;

/// <summary>Runs areas and prints their tables.</summary>
public sealed class Report
{
    private const double BusyFactor = 1.15;
    private readonly TextWriter _output;
    private readonly Sampler _sampler;
    private double _factor = 1;
    private double _arithmetic;

    /// <summary>Makes a report.</summary>
    /// <param name="output">Where the tables go.</param>
    /// <param name="sampler">Measures.</param>
    public Report(TextWriter output, Sampler sampler)
    {
        _output = output;
        _sampler = sampler;
    }

    /// <summary>Rows that allocate, or take more than twice their goal on a machine as fast as the peers'.</summary>
    public List<string> Missed { get; } = [];

    /// <summary>Measures the primitives; all later figures are held against the peers' with it.</summary>
    public void Calibrate()
    {
        var calibration = new Calibration();
        Head(calibration.Title);
        List<Measurement> measurements = Measure(calibration);
        _factor = Calibration.Factor(measurements);
        WarnIfBusy(measurements);
        _output.WriteLine(Invariant(
            $"this machine takes {_factor:F2} times as long as the reference (geometric mean without the lock and the arithmetic)"));
        _arithmetic = Calibration.Arithmetic(measurements).LowerQuartile;
    }

    /// <summary>Measures once more what shows a busy neighbour best, and says so if there was one.</summary>
    public void CheckCalibration()
    {
        BenchmarkRow row = new Calibration().ArithmeticRow;
        double now = _sampler.Measure(row).LowerQuartile;
        double slower = Math.Max(now, _arithmetic) / Math.Min(now, _arithmetic);
        _output.WriteLine();
        _output.WriteLine(Invariant($"{row.Name}: {_arithmetic:F2} ns at the start, {now:F2} at the end"));
        if (slower > BusyFactor)
        {
            _output.WriteLine("something else shared the processor's core for a part of the run: compare rows of different parts with care");
        }
    }

    /// <summary>Measures an area and prints its table.</summary>
    public void Run(IBenchmarkArea area)
    {
        ArgumentNullException.ThrowIfNull(area);
        Head(area.Title);
        foreach (Measurement measurement in Measure(area))
        {
            double goal = measurement.Row.GoalNanoseconds;
            bool slow = goal > 0 && measurement.LowerQuartile > 2 * goal * Math.Max(1, _factor);
            if (slow || measurement.AllocatedBytes > 0.001 && measurement.Row.Threads == 1)
            {
                Missed.Add($"{area.Name}: {measurement.Row.Name}");
            }
        }
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private List<Measurement> Measure(IBenchmarkArea area)
    {
        var measurements = new List<Measurement>();
        foreach (BenchmarkRow row in area.CreateRows())
        {
            Measurement measurement = _sampler.Measure(row);
            if (row.MeasuredPeer is not null)
            {
                double peer = row.MeasuredPeer();
                measurement = measurement with { Row = row with { PeerNanoseconds = peer, GoalNanoseconds = peer * row.GoalRatio } };
            }

            measurements.Add(measurement);
            Line(measurement);
        }

        return measurements;
    }

    private void WarnIfBusy(List<Measurement> measurements)
    {
        if (measurements.Exists(static m => m.Median > BusyFactor * m.Minimum))
        {
            _output.WriteLine("the machine is busy with something else: figures that follow are too high, look at the column min");
        }
    }

    private void Head(string title)
    {
        _output.WriteLine();
        _output.WriteLine(title);
        _output.WriteLine(
            $"{"case",-58} {"ns/op",8} {"min",7} {"median",7} | {"peer",6} {"ratio",6} {"calibr.",7} | "
            + $"{"goal",6} {"ratio",6} {"calibr.",7} | {"B/op",6}  against");
    }

    private void Line(Measurement m)
    {
        var line = new StringBuilder();
        line.Append(Invariant($"{m.Row.Name,-58} {m.LowerQuartile,8:F2} {m.Minimum,7:F2} {m.Median,7:F2} |"));
        Compare(line, m.LowerQuartile, m.Row.PeerNanoseconds);
        line.Append(" |");
        Compare(line, m.LowerQuartile, m.Row.GoalNanoseconds);
        line.Append(" | ");
        line.Append(m.Row.Threads > 1 ? "     -" : m.AllocatedBytes == 0 ? "     0" : Invariant($"{m.AllocatedBytes,6:F3}"));
        line.Append("  ").Append(m.Row.Peer ?? string.Empty);
        _output.WriteLine(line.ToString().TrimEnd());
    }

    private void Compare(StringBuilder line, double ours, double theirs)
    {
        if (theirs > 0)
        {
            line.Append(Invariant($" {theirs,6:F1} {ours / theirs,6:F2} {ours / theirs / _factor,7:F2}"));
        }
        else
        {
            line.Append(' ', 22);
        }
    }
}
