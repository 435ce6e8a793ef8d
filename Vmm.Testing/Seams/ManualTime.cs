using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Vmm.Testing.Seams;

/// <summary>Time that stands still until it is moved; timers fire on the thread that moves it. Read and set from any thread, moved by one.</summary>
/// <param name="start">The time of day to begin with.</param>
public sealed class ManualTime(DateTimeOffset start) : TimeProvider
{
    private readonly Lock _lock = new();
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
    public override DateTimeOffset GetUtcNow()
    {
        lock (_lock)
        {
            return _now;
        }
    }

    /// <inheritdoc/>
    public override long GetTimestamp() => (GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks;

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
        DateTimeOffset end = GetUtcNow() + by;
        while (Next(end) is { } next)
        {
            next();
        }
    }

    /// <summary>Moves to the next timer that falls due, or to the end.</summary>
    /// <returns>The timer's callback, called without the lock; null at the end.</returns>
    private Action? Next(DateTimeOffset end)
    {
        lock (_lock)
        {
            ManualTimer? next = null;
            foreach (ManualTimer timer in _timers)
            {
                if (timer.Due <= end && (next is null || timer.Due < next.Due))
                {
                    next = timer;
                }
            }

            _now = next?.Due is { } due && due > _now ? due : next is null ? end : _now;
            return next?.Fire();
        }
    }

    private sealed class ManualTimer(ManualTime time, Action callback) : ITimer
    {
        private TimeSpan _period;

        public DateTimeOffset? Due { get; private set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (time._lock)
            {
                _period = period;
                Due = dueTime < TimeSpan.Zero ? null : time._now + dueTime;
                if (!time._timers.Contains(this))
                {
                    time._timers.Add(this);
                }
            }

            return true;
        }

        /// <summary>Sets it for the next time, if there is one. Under the lock.</summary>
        /// <returns>The callback.</returns>
        public Action Fire()
        {
            // Zero means once here as well as minus one does.
            Due = _period > TimeSpan.Zero ? Due + _period : null;
            return callback;
        }

        public void Dispose()
        {
            lock (time._lock)
            {
                Due = null;
                time._timers.Remove(this);
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
