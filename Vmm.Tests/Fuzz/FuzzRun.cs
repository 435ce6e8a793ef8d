using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;

namespace Vmm.Tests.Fuzz;

/// <summary>Machine after machine from one seed, until enough operations were done or one went wrong.</summary>
internal sealed class FuzzRun
{
    private const int SegmentsOfMachine = 10;

    // Machines come and go; what stays longer than that is a leak.
    private const long HeapGrowthLimit = 48L << 20;
    private const long ResidentGrowthLimit = 256L << 20;

    private readonly Func<FuzzOptions, FuzzPlatform> _platform;
    private readonly Func<FuzzMachine, IFuzzRunner> _runner;
    private readonly ulong _seed;
    private readonly int _segment;

    /// <param name="seed">Decides everything but the timing of threads.</param>
    /// <param name="segment">Operations between two looks at everything.</param>
    /// <param name="platform">What machines stand on; in process unless told.</param>
    /// <param name="runner">How operations are done; in process unless told.</param>
    public FuzzRun(ulong seed, int segment = 4000, Func<FuzzOptions, FuzzPlatform>? platform = null, Func<FuzzMachine, IFuzzRunner>? runner = null)
    {
        _seed = seed;
        _segment = segment;
        _platform = platform ?? FuzzPlatform.InProcess;
        _runner = runner ?? (static machine => new InProcessRunner(machine));
    }

    /// <summary>How far it got.</summary>
    public FuzzCounts Counts { get; } = new();

    /// <summary>How long to look for a shorter list when something has gone wrong.</summary>
    public TimeSpan ShrinkLimit { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Runs until <paramref name="operations"/> were done or the time is up.</summary>
    /// <returns>A report of what went wrong, or null.</returns>
    public string? Run(long operations, TimeSpan? limit = null)
    {
        long start = Stopwatch.GetTimestamp();
        long heap = 0;
        long resident = 0;
        using var exceptions = new ExceptionWatch();
        for (int machine = 0; Counts.Operations < operations && (limit is null || Stopwatch.GetElapsedTime(start) < limit); machine++)
        {
            var options = FuzzOptions.Of(_seed, machine);
            using (Breadcrumb.Leave(_seed, machine))
            {
                if (RunMachine(options, exceptions, operations) is { } failure)
                {
                    return Report(options, machine, failure, exceptions);
                }
            }

            long heapNow = GC.GetTotalMemory(forceFullCollection: true);
            long residentNow = Environment.WorkingSet;
            if (machine < 4)
            {
                // Code is compiled and pools fill at first.
                (heap, resident) = (Math.Max(heap, heapNow), Math.Max(resident, residentNow));
            }
            else if (heapNow - heap > HeapGrowthLimit || residentNow - resident > ResidentGrowthLimit)
            {
                return string.Create(
                    CultureInfo.InvariantCulture,
                    $"seed {_seed}, machine {machine}: memory grew: heap {heap >> 10} to {heapNow >> 10} KiB, "
                    + $"resident {resident >> 10} to {residentNow >> 10} KiB");
            }
        }

        return null;
    }

    /// <summary>Runs the operations of a file that a failure printed.</summary>
    /// <returns>What went wrong, or null.</returns>
    public static string? Replay(string path, Func<FuzzOptions, FuzzPlatform>? platform = null, Func<FuzzMachine, IFuzzRunner>? runner = null)
    {
        (string[] head, FuzzOperation[] operations) = FuzzReproduction<FuzzOperation>.Read(path, FuzzOperation.Parse);
        var options = new FuzzOptions(
            ulong.Parse(head[1], CultureInfo.InvariantCulture), int.Parse(head[2], CultureInfo.InvariantCulture), Enum.Parse<GuardKind>(head[3]));
        using var exceptions = new ExceptionWatch();
        var run = new FuzzRun(0, platform: platform, runner: runner);
        return run.RunOnce(options, operations, exceptions)?.Reason;
    }

    /// <summary>Runs a list of operations on one machine.</summary>
    /// <returns>A report of what went wrong, or null.</returns>
    public string? Try(FuzzOptions options, IReadOnlyList<FuzzOperation> operations)
    {
        using var exceptions = new ExceptionWatch();
        return RunOnce(options, operations, exceptions) is { } failure ? Report(options, 0, failure, exceptions) : null;
    }

    private FuzzFailure? RunMachine(FuzzOptions options, ExceptionWatch exceptions, long operations)
    {
        using var session = new FuzzSession(options, _platform, _runner, exceptions);
        var generator = new FuzzGenerator(session.Machine);
        var segment = new List<FuzzOperation>(_segment);
        FuzzFailure? failure = null;
        for (int i = 0; i < SegmentsOfMachine && failure is null && Counts.Operations + session.Counts.Operations < operations; i++)
        {
            segment.Clear();
            generator.Generate(segment, _segment);
            failure = session.Run(segment);
            generator.StartOver();
        }

        failure ??= session.End();
        Counts.Add(session.Counts);
        return failure;
    }

    private FuzzFailure? RunOnce(FuzzOptions options, IReadOnlyList<FuzzOperation> operations, ExceptionWatch exceptions)
    {
        exceptions.Forget();
        using var session = new FuzzSession(options, _platform, _runner, exceptions);
        return session.Run(operations) ?? session.End();
    }

    private string Report(FuzzOptions options, int machine, FuzzFailure failure, ExceptionWatch exceptions)
    {
        var reproduction = new FuzzReproduction<FuzzOperation>
        {
            Head = string.Create(CultureInfo.InvariantCulture, $"machine {options.Seed} {options.Vcpus} {options.Guard}"),
            Name = string.Create(CultureInfo.InvariantCulture, $"vmm-fuzz-{_seed}-{machine}.txt"),
            Command = "build/fuzz --replay",
            Run = list => RunOnce(options, list, exceptions)?.Reason,
            Limit = ShrinkLimit,
        };
        return reproduction.Report(
            string.Create(
                CultureInfo.InvariantCulture,
                $"seed {_seed}, machine {machine}, after {failure.Operations.Count} operations on it: {failure.Reason}"),
            failure.Operations);
    }
}
