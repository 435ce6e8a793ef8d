using System;
using System.Diagnostics;

namespace Vmm.Benchmarks.Harness;

/// <summary>Measures a case: warms up until the JIT has settled, then takes many short samples.</summary>
/// <remarks>
/// A sample is as many blocks as take about a millisecond, a short one being more often left alone by what else the machine does; what is told of
/// them is the lower quartile. Before that the same closure runs for at least a second, so that tiering and on-stack replacement are over, and
/// a tenth of the samples is dropped.
/// </remarks>
public sealed class Sampler
{
    private const double SampleSeconds = 0.001;
    private readonly double _warmUpSeconds;
    private readonly int _samples;

    /// <summary>Makes a sampler.</summary>
    /// <param name="quick">Shorter warm-up and fewer samples, for a first look.</param>
    public Sampler(bool quick)
    {
        _warmUpSeconds = quick ? 0.4 : 1.0;
        _samples = quick ? 100 : 400;
    }

    /// <summary>Measures a case.</summary>
    public Measurement Measure(BenchmarkRow row)
    {
        ArgumentNullException.ThrowIfNull(row);
        int blocksPerSample = WarmUp(row);
        for (int i = 0; i < _samples / 10; i++)
        {
            _ = Sample(row, blocksPerSample);
        }

        double[] samples = new double[_samples];
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < samples.Length; i++)
        {
            samples[i] = Sample(row, blocksPerSample);
        }

        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        Array.Sort(samples);
        double operations = (double)blocksPerSample * row.Operations * samples.Length;
        return new Measurement(row, samples[0], samples[samples.Length / 4], samples[samples.Length / 2], allocated / operations);
    }

    /// <summary>Runs the case until it has the speed that it will have.</summary>
    /// <returns>Blocks in a sample.</returns>
    private int WarmUp(BenchmarkRow row)
    {
        long warmUp = (long)(_warmUpSeconds * Stopwatch.Frequency);
        long begin = Stopwatch.GetTimestamp();
        int blocks = 0;
        long timed = 0;
        while (Stopwatch.GetTimestamp() - begin < warmUp || blocks < 3)
        {
            // Blocks are counted anew in the second half, at the speed they will have.
            if (blocks > 0 && timed == 0 && Stopwatch.GetTimestamp() - begin > warmUp / 2)
            {
                blocks = 0;
            }

            long ticks = row.TimedBlock();
            if (Stopwatch.GetTimestamp() - begin > warmUp / 2)
            {
                timed += ticks;
            }

            blocks++;
        }

        double ticksPerBlock = Math.Max(1, (double)timed / blocks);
        return Math.Max(1, (int)(SampleSeconds * Stopwatch.Frequency / ticksPerBlock));
    }

    private static double Sample(BenchmarkRow row, int blocks)
    {
        long ticks = 0;
        for (int i = 0; i < blocks; i++)
        {
            ticks += row.TimedBlock();
        }

        return ticks * (1e9 / Stopwatch.Frequency) / ((double)blocks * row.Operations);
    }
}
