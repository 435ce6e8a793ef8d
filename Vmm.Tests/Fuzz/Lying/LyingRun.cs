using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Threading;

namespace Vmm.Tests.Fuzz.Lying;

/// <summary>Lying device after lying device from one seed, until enough operations were done or one went wrong.</summary>
internal sealed class LyingRun(ulong seed)
{
    // An operation waits for a device a few hundred times at most, for milliseconds; the rest is the scheduler of a busy host.
    private static readonly TimeSpan OperationLimit = TimeSpan.FromSeconds(20);

    private static readonly LyingAction[] _uses =
    [
        LyingAction.Submit, LyingAction.Submit, LyingAction.Submit, LyingAction.Notify, LyingAction.Notify, LyingAction.Complete, LyingAction.Complete,
        LyingAction.Wait, LyingAction.Wait, LyingAction.Arm, LyingAction.Request, LyingAction.Request, LyingAction.Request, LyingAction.Request,
        LyingAction.Configuration, LyingAction.Interrupt, LyingAction.ResetQueue, LyingAction.EnableQueue,
    ];

    /// <summary>How far it got.</summary>
    public LyingCounts Counts { get; } = new();

    /// <summary>How long to look for a shorter list when something has gone wrong.</summary>
    public TimeSpan ShrinkLimit { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Runs until <paramref name="operations"/> were done or the time is up.</summary>
    /// <returns>A report of what went wrong, or null.</returns>
    public string? Run(long operations, TimeSpan? limit = null)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; Counts.Operations < operations && (limit == null || Stopwatch.GetElapsedTime(start) < limit); i++)
        {
            // The seed of a device is the one of a machine, drawn in the same way.
            ulong device = FuzzOptions.Of(seed, i).Seed;
            List<LyingOperation> list = Draw(device);
            using (Breadcrumb.Leave(seed, i))
            {
                if (Try(device, list, Counts) is { } wrong)
                {
                    return Report(device, list, wrong);
                }
            }
        }

        return null;
    }

    /// <summary>Runs the operations of a file that a failure printed.</summary>
    /// <returns>What went wrong, or null.</returns>
    public static string? Replay(string path)
    {
        (string[] head, LyingOperation[] operations) = FuzzReproduction<LyingOperation>.Read(path, LyingOperation.Parse);
        return Try(ulong.Parse(head[1], CultureInfo.InvariantCulture), operations, new LyingCounts());
    }

    /// <summary>The operations for a device.</summary>
    public static List<LyingOperation> Draw(ulong device)
    {
        var random = new Random((int)(device >> 7));
        List<LyingOperation> list = [];
        for (int rounds = random.Next(1, 4); rounds > 0; rounds--)
        {
            Add(LyingAction.Open);
            Add(LyingAction.Start);
            for (int i = random.Next(60); i > 0; i--)
            {
                Add(_uses[random.Next(_uses.Length)]);
            }

            Add(LyingAction.Close);
        }

        return list;

        void Add(LyingAction action) => list.Add(new LyingOperation(action, (uint)random.Next()));
    }

    /// <summary>Runs a list of operations on a device of its own, on a thread of its own, so that one that never comes back is noticed.</summary>
    /// <returns>What went wrong, or null.</returns>
    public static string? Try(ulong device, IReadOnlyList<LyingOperation> operations, LyingCounts counts)
    {
        counts.Devices++;
        var progress = new FuzzProgress();
        string? wrong = null;
        string? thrown = null;
        using var aborting = new CancellationTokenSource();
        var thread = new Thread(() => thrown = Abortable.Run(
            () => wrong = new LyingSession(new LyingProfile(device), counts).Run(operations, progress), aborting.Token))
        {
            IsBackground = true,
            Name = "fuzz",
        };
        thread.Start();
        while (!thread.Join(200))
        {
            if (progress.Elapsed > OperationLimit)
            {
                int at = progress.Index;
                aborting.Cancel();
                bool ended = thread.Join(5000);
                return $"operation {at} took over {OperationLimit.TotalSeconds} s; {(ended ? thrown : "its thread cannot be stopped")}";
            }
        }

        return wrong ?? thrown;
    }

    private string Report(ulong device, List<LyingOperation> operations, string wrong)
    {
        long number = Counts.Devices - 1;
        var reproduction = new FuzzReproduction<LyingOperation>
        {
            Head = string.Create(CultureInfo.InvariantCulture, $"device {device}"),
            Name = string.Create(CultureInfo.InvariantCulture, $"vmm-fuzz-driver-{seed}-{number}.txt"),
            Command = "build/fuzz --driver --replay",
            Run = list => Try(device, list, new LyingCounts()),
            Limit = ShrinkLimit,
        };
        return reproduction.Report(string.Create(CultureInfo.InvariantCulture, $"seed {seed}, device {number}: {wrong}"), operations);
    }
}
