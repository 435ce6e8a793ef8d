using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Vmm.Pci;
using Vmm.Tests.Kvm;

namespace Vmm.Tests.Fuzz;

/// <summary>One machine from its making to its end: does operations, and looks at all that must stay true.</summary>
internal sealed class FuzzSession : IDisposable
{
    // One operation waits for a worker at most; the rest is the scheduler of a busy host.
    private static readonly TimeSpan OperationLimit = KvmAvailability.Patience(20);

    private readonly ExceptionWatch _exceptions;
    private readonly FuzzMachine _machine;
    private readonly IFuzzRunner _runner;
    private readonly ReadOnlyBits _readOnly;
    private readonly FuzzProgress[] _progress;
    private readonly List<FuzzOperation> _done = [];
    private readonly HostResources _before;
    private bool _lost;

    /// <param name="options">The machine.</param>
    /// <param name="platform">What it stands on.</param>
    /// <param name="runner">How operations are done.</param>
    /// <param name="exceptions">Sees what is thrown.</param>
    public FuzzSession(
        FuzzOptions options, Func<FuzzOptions, FuzzPlatform> platform, Func<FuzzMachine, IFuzzRunner> runner, ExceptionWatch exceptions)
    {
        _exceptions = exceptions;
        _before = HostResources.Now();
        _machine = new FuzzMachine(options, platform(options));
        _runner = runner(_machine);
        _readOnly = new ReadOnlyBits(_machine.Functions);
        _progress = [.. Enumerable.Range(0, options.Vcpus).Select(static _ => new FuzzProgress())];
    }

    public FuzzMachine Machine => _machine;

    public FuzzCounts Counts => _machine.Counts;

    /// <summary>Does a segment of operations, and then the checks.</summary>
    /// <param name="operations">What to do.</param>
    /// <returns>What went wrong, or null.</returns>
    public FuzzFailure? Run(IReadOnlyList<FuzzOperation> operations)
    {
        int start = _done.Count;
        _done.AddRange(operations);
        _machine.Counts.Operations += operations.Count;
        _machine.Platform.Seams.RefusalRate = 2;
        string? reason = Supervise(() => _runner.Run(operations, _progress));
        _machine.Platform.Seams.RefusalRate = 0;
        reason ??= Look();
        reason ??= Supervise(() => new WorkingOrder(_machine, new Random((int)_machine.Options.Seed ^ start)).Verify());
        reason ??= Look();
        return reason is null ? null : new FuzzFailure(reason, _done.Count, _done);
    }

    /// <summary>Takes the machine apart: nothing of it may be left in the host.</summary>
    public FuzzFailure? End()
    {
        string? reason = Supervise(Dispose) ?? _exceptions.First;
        reason ??= _before.Compare(_machine.Platform.Seams);
        return reason is null ? null : new FuzzFailure(reason, _done.Count, _done);
    }

    public void Dispose()
    {
        // A machine on which an operation hangs cannot be taken apart.
        if (!_lost)
        {
            _lost = true;
            _machine.CollectMistakes();
            _runner.Dispose();
            _machine.Dispose();
        }
    }

    private string? Look()
    {
        _machine.Ram.Check();
        return _exceptions.First
            ?? _machine.Platform.Logger.First
            ?? _machine.Ram.Damage
            ?? _machine.CheckFiles()
            ?? _readOnly.Check()
            ?? Faults();
    }

    private string? Faults()
    {
        if (_machine.Memory.HandlerFaults != 0 || _machine.Ports.HandlerFaults != 0 || _machine.Memory.Domain.FailedEffects != 0)
        {
            return $"handlers threw {_machine.Memory.HandlerFaults} and {_machine.Ports.HandlerFaults} times, "
                + $"effects {_machine.Memory.Domain.FailedEffects} times";
        }

        return _machine.Functions.FirstOrDefault(static f => f.Faults != 0) is PciFunction faulted
            ? $"{faulted.Name} faulted {faulted.Faults} times"
            : null;
    }

    /// <summary>Runs on a thread of its own, so that one that never comes back is noticed. Returns what was thrown, or what hung.</summary>
    private string? Supervise(Action action)
    {
        string? thrown = null;
        using var aborting = new CancellationTokenSource();
        var thread = new Thread(() => thrown = Abortable.Run(action, aborting.Token)) { IsBackground = true, Name = "fuzz" };
        long start = Environment.TickCount64;
        thread.Start();
        while (!thread.Join(200))
        {
            bool anyAt = _progress.Any(static p => p.Index >= 0);
            TimeSpan slowest = anyAt ? _progress.Max(static p => p.Elapsed) : TimeSpan.FromMilliseconds(Environment.TickCount64 - start) / 6;
            if (slowest > OperationLimit)
            {
                _lost = true;
                string at = anyAt ? Where(_progress.MaxBy(static p => p.Elapsed)!) : "the checks after the operations";
                string threads = HostResources.DescribeThreads();
                aborting.Cancel();
                bool ended = thread.Join(5000);
                return $"{at} took over {OperationLimit.TotalSeconds} s; {(ended ? thrown : "its thread cannot be stopped")}\nthreads:\n{threads}";
            }
        }

        return thrown;
    }

    private string Where(FuzzProgress progress)
    {
        int index = progress.Index;
        return index >= 0 && index < _done.Count ? $"operation {index} ({_done[index]})" : "an operation";
    }
}
