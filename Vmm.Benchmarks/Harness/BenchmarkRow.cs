using System;
using System.Diagnostics;

namespace Vmm.Benchmarks.Harness;

/// <summary>One measured case: a block of operations, and what it is held against.</summary>
/// <param name="Name">What is measured.</param>
/// <param name="Operations">Operations in a block.</param>
/// <param name="TimedBlock">Runs a block and returns how long its timed part took, in ticks of <see cref="Stopwatch"/>.</param>
public sealed record BenchmarkRow(string Name, int Operations, Func<long> TimedBlock)
{
    /// <summary>Whose figure <see cref="PeerNanoseconds"/> is.</summary>
    public string? Peer { get; init; }

    /// <summary>The peer's nanoseconds per operation, or 0 if there is none.</summary>
    public double PeerNanoseconds { get; init; }

    /// <summary>The goal in nanoseconds per operation, or 0 for a row that only informs.</summary>
    public double GoalNanoseconds { get; init; }

    /// <summary>For a peer that is measured in the same samples: its nanoseconds per operation, asked for after the row was measured.</summary>
    public Func<double>? MeasuredPeer { get; init; }

    /// <summary>The goal as a multiple of <see cref="MeasuredPeer"/>.</summary>
    public double GoalRatio { get; init; }

    /// <summary>Threads that each do <see cref="Operations"/> in a block.</summary>
    public int Threads { get; init; } = 1;

    /// <summary>A row whose whole block is timed.</summary>
    /// <param name="name">What is measured.</param>
    /// <param name="operations">Operations in a block.</param>
    /// <param name="block">Does them; folds its results into <see cref="BlackBox.Sink"/>.</param>
    public static BenchmarkRow Of(string name, int operations, Action block)
    {
        return new BenchmarkRow(name, operations, () =>
        {
            long start = Stopwatch.GetTimestamp();
            block();
            return Stopwatch.GetTimestamp() - start;
        });
    }

    /// <summary>The same row with a peer's figure and our goal.</summary>
    /// <param name="peer">Who.</param>
    /// <param name="peerNanoseconds">Its nanoseconds per operation.</param>
    /// <param name="goalNanoseconds">Ours.</param>
    public BenchmarkRow Against(string peer, double peerNanoseconds, double goalNanoseconds)
    {
        return this with { Peer = peer, PeerNanoseconds = peerNanoseconds, GoalNanoseconds = goalNanoseconds };
    }
}
