using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Threading;

namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>Hostile device after hostile device from one seed, until enough operations were done or one went wrong.</summary>
internal sealed class HostileRun(ulong seed)
{
    // An operation waits for a device a few hundred times at most, for milliseconds; the rest is the scheduler of a busy host.
    private static readonly TimeSpan OperationLimit = TimeSpan.FromSeconds(20);

    private static readonly HostileAction[] _uses =
    [
        HostileAction.Submit, HostileAction.Submit, HostileAction.Submit, HostileAction.Notify, HostileAction.Notify, HostileAction.Complete,
        HostileAction.Complete, HostileAction.Wait, HostileAction.Wait, HostileAction.Arm,
        HostileAction.Request, HostileAction.Request, HostileAction.Request, HostileAction.Request,
        HostileAction.Configuration, HostileAction.Interrupt, HostileAction.ResetQueue, HostileAction.EnableQueue,
    ];

    /// <summary>How far it got.</summary>
    public HostileCounts Counts { get; } = new();

    /// <summary>How long to look for a shorter list when something has gone wrong.</summary>
    public TimeSpan ShrinkLimit { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Runs until <paramref name="operations"/> were done or the time is up.</summary>
    /// <returns>A report of what went wrong, or null.</returns>
    public string? Run(long operations, TimeSpan? limit = null)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; Counts.Operations < operations && (limit is null || Stopwatch.GetElapsedTime(start) < limit); i++)
        {
            // The seed of a device is the one of a machine, drawn in the same way.
            ulong device = FuzzOptions.Of(seed, i).Seed;
            List<HostileOperation> list = Draw(device);
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
        (string[] head, HostileOperation[] operations) = FuzzReproduction<HostileOperation>.Read(path, HostileOperation.Parse);
        return Try(ulong.Parse(head[1], CultureInfo.InvariantCulture), operations, new HostileCounts());
    }

    /// <summary>The operations for a device.</summary>
    public static List<HostileOperation> Draw(ulong device)
    {
        var random = new Random((int)(device >> 7));
        List<HostileOperation> list = [];
        for (int rounds = random.Next(1, 4); rounds > 0; rounds--)
        {
            Add(HostileAction.Open);
            Add(HostileAction.Start);
            for (int i = random.Next(60); i > 0; i--)
            {
                Add(_uses[random.Next(_uses.Length)]);
            }

            Add(HostileAction.Close);
        }

        return list;

        void Add(HostileAction action) => list.Add(new HostileOperation(action, (uint)random.Next()));
    }

    /// <summary>Runs a list of operations on a device of its own, on a thread of its own, so that one that never comes back is noticed.</summary>
    /// <returns>What went wrong, or null.</returns>
    public static string? Try(ulong device, IReadOnlyList<HostileOperation> operations, HostileCounts counts)
    {
        counts.Devices++;
        var progress = new FuzzProgress();
        string? wrong = null;
        string? thrown = null;
        using var aborting = new CancellationTokenSource();
        var thread = new Thread(() => thrown = Abortable.Run(
            () => wrong = new HostileSession(new HostileProfile(device), counts).Run(operations, progress), aborting.Token))
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

    private string Report(ulong device, List<HostileOperation> operations, string wrong)
    {
        long number = Counts.Devices - 1;
        var reproduction = new FuzzReproduction<HostileOperation>
        {
            Head = string.Create(CultureInfo.InvariantCulture, $"device {device}"),
            Name = string.Create(CultureInfo.InvariantCulture, $"vmm-fuzz-driver-{seed}-{number}.txt"),
            Command = "build/fuzz --driver --replay",
            Run = list => Try(device, list, new HostileCounts()),
            Limit = ShrinkLimit,
        };
        return reproduction.Report(string.Create(CultureInfo.InvariantCulture, $"seed {seed}, device {number}: {wrong}"), operations);
    }
}
