using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Vmm.Testing.Seams;

/// <summary>Time that stands still until it is moved; timers fire on the thread that moves it. For one thread.</summary>
/// <param name="start">The time of day to begin with.</param>
public sealed class ManualTime(DateTimeOffset start) : TimeProvider
{
    private readonly List<ManualTimer> _timers = [];
    private DateTimeOffset _now = start;

    /// <summary>Begins in 1970.</summary>
    public ManualTime()
        : this(DateTimeOffset.UnixEpoch)
    {
    }

    /// <inheritdoc/>
    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => _now;

    /// <inheritdoc/>
    public override long GetTimestamp() => (_now - DateTimeOffset.UnixEpoch).Ticks;

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ArgumentNullException.ThrowIfNull(callback);
        var timer = new ManualTimer(this, () => callback(state));
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Moves time, and fires what falls due on the way, in order.</summary>
    /// <param name="by">How far.</param>
    public void Advance(TimeSpan by)
    {
        DateTimeOffset end = _now + by;
        while (Next(end) is { } next)
        {
            _now = next.Due!.Value;
            next.Fire();
        }

        _now = end;
    }

    private ManualTimer? Next(DateTimeOffset end)
    {
        ManualTimer? next = null;
        foreach (ManualTimer timer in _timers)
        {
            if (timer.Due <= end && (next is null || timer.Due < next.Due))
            {
                next = timer;
            }
        }

        return next;
    }

    private sealed class ManualTimer(ManualTime time, Action callback) : ITimer
    {
        private TimeSpan _period;

        public DateTimeOffset? Due { get; private set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            _period = period;
            Due = dueTime < TimeSpan.Zero ? null : time._now + dueTime;
            if (!time._timers.Contains(this))
            {
                time._timers.Add(this);
            }

            return true;
        }

        public void Fire()
        {
            // Zero means once here as well as minus one does.
            Due = _period > TimeSpan.Zero ? Due + _period : null;
            callback();
        }

        public void Dispose()
        {
            Due = null;
            time._timers.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
