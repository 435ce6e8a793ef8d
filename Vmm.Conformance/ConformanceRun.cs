using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Threading;
using Vmm.Conformance.Driving;
using Vmm.Virtio.Driver;

namespace Vmm.Conformance;

/// <summary>Runs checks on a function, one after the other.</summary>
/// <remarks>
/// Each check runs on a thread of its own. One that does not end in time loses its way to the function and has failed; between checks the
/// function is brought to a known state, which is bounded as well; if it does not come back the rest is skipped. So a run ends, whatever the
/// device does. A thread that is stuck inside an access is left behind, with the memory that its check had mapped.
/// </remarks>
public sealed class ConformanceRun
{
    private const string DidNotEnd = "did not end";

    private readonly ConformanceTarget _target;
    private readonly RunLimits _limits;
    private KnownState? _state;
    private Applicability? _applicability;
    private string? _lost;

    private ConformanceRun(ConformanceTarget target, RunLimits limits)
    {
        (_target, _limits) = (target, limits);
    }

    /// <summary>Runs checks.</summary>
    /// <param name="target">The function; it comes back reset.</param>
    /// <param name="checks">What to check; the whole catalogue without it.</param>
    /// <param name="limits">How long to wait for what.</param>
    /// <param name="ended">Told each result as it comes, on the caller's thread.</param>
    /// <exception cref="ArgumentException">The target's work cannot be made.</exception>
    public static ConformanceReport Execute(
        ConformanceTarget target, IEnumerable<Check>? checks = null, RunLimits? limits = null, Action<CheckResult>? ended = null)
    {
        ArgumentNullException.ThrowIfNull(target);
        target.Work?.ThrowIfWrong(nameof(target));
        long start = Stopwatch.GetTimestamp();
        var run = new ConformanceRun(target, limits ?? new RunLimits());
        var results = new List<CheckResult>();
        run.Prepare();
        bool lacksWork = false;
        foreach (Check check in checks ?? CheckCatalogue.All)
        {
            CheckResult result = run.RunOne(check);
            lacksWork |= (check.Needs & Need.Work) == Need.Work && run._applicability is { HasWork: false };
            results.Add(result);
            ended?.Invoke(result);
        }

        int queues = run._applicability?.Queues ?? 0;
        IReadOnlyList<int> exercised = run._state?.UsedQueues ?? [];
        return new ConformanceReport(target.Name, results, Stopwatch.GetElapsedTime(start))
        {
            Queues = queues,
            ExercisedQueues = exercised,
            NothingAsked = lacksWork && queues != 0 && exercised.Count == 0,
        };
    }

    private void Prepare()
    {
        Exception? failure = null;
        bool ended = Deadline.Run(
            "conformance-start",
            () =>
            {
                try
                {
                    _state = new KnownState(_target.Access, _target.Reach, _limits);
                    _state.TryRestore();
                    _applicability = new Applicability(_target, _target.Access, _state);
                }
                catch (Exception e)
                {
                    failure = e;
                }
            },
            _limits.Check,
            out _);
        if (!ended)
        {
            _lost = "the function does not answer";
        }
        else if (failure is not null)
        {
            _lost = $"the function cannot be read: {failure.Message}";
        }
    }

    private CheckResult RunOne(Check check)
    {
        if (_lost is { } lost)
        {
            return Skip(check, lost);
        }

        long start = Stopwatch.GetTimestamp();
        var access = new GuardedAccess(_target.Access);
        CheckResult? judged = null;
        bool ended = Deadline.Run(check.Id, () => judged = Judge(check, access), _limits.Check, out Thread thread);
        CheckResult? result = ended ? judged : null;
        if (!ended)
        {
            access.Revoke();
            ended = thread.Join(_limits.Reply);
            result = new CheckResult(
                check, CheckVerdict.Fail, string.Create(CultureInfo.InvariantCulture, $"an end within {_limits.Check.TotalSeconds} s"), DidNotEnd,
                null, default);
        }

        TimeSpan duration = Stopwatch.GetElapsedTime(start);
        Restore(check, access, release: ended);
        return result! with { Duration = duration };
    }

    /// <summary>Runs the body. What a check did wrong itself is a failure too: nobody would see it otherwise.</summary>
    private CheckResult Judge(Check check, GuardedAccess access)
    {
        try
        {
            if (_applicability!.Explain(check) is { } reason)
            {
                return Skip(check, reason);
            }

            check.Body(new CheckContext(_target, access, _state!, _limits));
            return new CheckResult(check, CheckVerdict.Pass, null, null, null, default);
        }
        catch (CheckSkippedException skipped)
        {
            return Skip(check, skipped.Message);
        }
        catch (CheckFailedException failed)
        {
            CheckVerdict verdict = check.Severity == CheckSeverity.Recommendation ? CheckVerdict.Advice : CheckVerdict.Fail;
            return new CheckResult(check, verdict, failed.Expected, failed.Seen, null, default);
        }
        catch (DriverException failed)
        {
            return new CheckResult(check, CheckVerdict.Fail, "a device that can be driven", failed.Message, null, default);
        }
        catch (Exception failed)
        {
            return new CheckResult(check, CheckVerdict.Fail, "every access to succeed", $"{failed.GetType().Name}: {failed.Message}", null, default);
        }
    }

    private void Restore(Check check, GuardedAccess access, bool release)
    {
        bool back = false;
        string? failure = null;
        bool ended = Deadline.Run(
            "conformance-restore",
            () =>
            {
                try
                {
                    back = _state!.TryRestore();
                }
                catch (Exception e)
                {
                    failure = e.Message;
                }
            },
            _limits.Check,
            out _);
        if (ended && back && release)
        {
            access.ReleaseBuffers();
        }

        if (!ended || !back)
        {
            _lost = $"the device did not come back from a reset after {check.Id}{(failure is null ? string.Empty : $": {failure}")}";
        }
    }

    private static CheckResult Skip(Check check, string reason) => new(check, CheckVerdict.Skip, null, null, reason, default);
}
