using System;
using System.Threading;

namespace Vmm.Virtio.Limits;

/// <summary>A limit of bytes and of operations in a time for one device, whose queues share it and are told when there is something again.</summary>
/// <remarks>
/// Thread-safe. Nobody waits here: who gets nothing leaves its requests where they are until it is told, by a timer that runs only meanwhile and
/// fires once for all of them. The lock is innermost, and held for a few additions. A reset of the device gives nothing back, or a driver would get around
/// the limit by it.
/// </remarks>
internal sealed class RateLimiter : IDisposable
{
    // Longer waits are waited for in parts: a timer has its limit.
    private static readonly TimeSpan LongestWait = TimeSpan.FromHours(1);

    private readonly Lock _lock = new();
    private readonly TokenBucket? _bandwidth;
    private readonly TokenBucket? _operations;
    private readonly Action _onRefilled;
    private readonly ITimer _timer;
    private bool _isArmed;

    private RateLimiter(TokenBucket? bandwidth, TokenBucket? operations, TimeProvider time, Action onRefilled)
    {
        _bandwidth = bandwidth;
        _operations = operations;
        _onRefilled = onRefilled;
        _timer = time.CreateTimer(static limiter => ((RateLimiter)limiter!).Tick(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Makes one that has all it may have.</summary>
    /// <param name="options">The limits.</param>
    /// <param name="time">The clock, and its timers.</param>
    /// <param name="onRefilled">Told on the timer's thread that there is something again for who got nothing; must not throw or wait.</param>
    /// <returns>Null where there is no limit.</returns>
    public static RateLimiter? Create(RateLimiterOptions? options, TimeProvider time, Action onRefilled)
    {
        var bandwidth = TokenBucket.Create(options?.Bandwidth, time);
        var operations = TokenBucket.Create(options?.Operations, time);
        return bandwidth is null && operations is null ? null : new RateLimiter(bandwidth, operations, time, onRefilled);
    }

    /// <summary>Takes an operation, if there is anything of either kind.</summary>
    /// <param name="bytes">Bytes that it moves, at least 0; there may be fewer.</param>
    /// <returns>False if there is nothing; who asked is told when there is.</returns>
    public bool TryTake(long bytes)
    {
        TimeSpan? wait;
        lock (_lock)
        {
            if (!IsEmpty)
            {
                _bandwidth?.Take(bytes);
                _operations?.Take(1);
                return true;
            }

            wait = StartWait();
        }

        Arm(wait);
        return false;
    }

    /// <summary>How many operations may be begun now, of whose bytes only their most is known before they are done.</summary>
    /// <param name="most">Operations that are wanted, at least 1.</param>
    /// <param name="bytesEach">Bytes that each moves at most, at least 1.</param>
    /// <returns>As many as there are; 1 at least unless there is nothing: who asked is told then when there is.</returns>
    public int Allow(int most, int bytesEach)
    {
        TimeSpan? wait;
        lock (_lock)
        {
            if (!IsEmpty)
            {
                long operations = _operations?.Available ?? most;
                long bytes = _bandwidth?.Available / bytesEach ?? most;
                return (int)Math.Min(most, Math.Min(operations, Math.Max(1, bytes)));
            }

            wait = StartWait();
        }

        Arm(wait);
        return 0;
    }

    /// <summary>Takes what was done after <see cref="Allow"/>.</summary>
    /// <param name="bytes">Bytes, at least 0.</param>
    /// <param name="operations">Operations, at least 0.</param>
    public void Take(long bytes, int operations)
    {
        lock (_lock)
        {
            _bandwidth?.Take(bytes);
            _operations?.Take(operations);
        }
    }

    /// <summary>Ends the timer; nobody asks any more.</summary>
    public void Dispose() => _timer.Dispose();

    private bool IsEmpty => _bandwidth is { IsEmpty: true } || _operations is { IsEmpty: true };

    /// <summary>The wait until neither is empty, if no timer runs for it yet. Under the lock.</summary>
    private TimeSpan? StartWait()
    {
        if (_isArmed)
        {
            return null;
        }

        _isArmed = true;
        TimeSpan bandwidth = _bandwidth?.Wait ?? TimeSpan.Zero;
        TimeSpan operations = _operations?.Wait ?? TimeSpan.Zero;
        return bandwidth > operations ? bandwidth : operations;
    }

    private void Arm(TimeSpan? wait)
    {
        if (wait is { } time)
        {
            // In whole milliseconds: a timer counts in those, and one that fires too early would only be set again.
            double milliseconds = Math.Max(1, Math.Ceiling(time.TotalMilliseconds));
            _timer.Change(time < LongestWait ? TimeSpan.FromMilliseconds(milliseconds) : LongestWait, Timeout.InfiniteTimeSpan);
        }
    }

    private void Tick()
    {
        lock (_lock)
        {
            _isArmed = false;
        }

        _onRefilled();
    }
}
