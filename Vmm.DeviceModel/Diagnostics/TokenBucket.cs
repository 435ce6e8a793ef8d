using System;
using System.Threading;

namespace Vmm.DeviceModel.Diagnostics;

/// <summary>Limits how often something that a guest can trigger is reported: a burst at once, then so many a second.</summary>
/// <remarks>
/// Lock-free, callable from any thread. The bucket is kept as the one instant at which it would be full again (the generic cell rate
/// algorithm), so that taking is one compare-and-exchange and no timer is needed.
/// </remarks>
public sealed class TokenBucket
{
    private readonly TimeProvider _time;
    private readonly long _interval;
    private readonly long _capacity;
    private long _fullAt = long.MinValue;
    private long _suppressed;

    /// <summary>Makes a full bucket.</summary>
    /// <param name="burst">How many may be taken at once, at least 1.</param>
    /// <param name="perSecond">How many come back in a second, more than 0.</param>
    /// <param name="time">The clock; by default the system's.</param>
    public TokenBucket(int burst = 10, double perSecond = 1, TimeProvider? time = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(burst);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(perSecond);
        _time = time ?? TimeProvider.System;
        _interval = Math.Max(1, (long)(_time.TimestampFrequency / perSecond));
        _capacity = _interval * burst;
    }

    /// <summary>How many were refused since the last one that was granted.</summary>
    public long Suppressed => Volatile.Read(ref _suppressed);

    /// <summary>Takes a token if there is one.</summary>
    /// <param name="suppressed">How many were refused since the last one that was granted; 0 if this one is refused.</param>
    /// <returns>False if the bucket is empty; the refusal is counted.</returns>
    public bool TryTake(out long suppressed)
    {
        long now = _time.GetTimestamp();
        long seen = Volatile.Read(ref _fullAt);
        while (true)
        {
            long next = Math.Max(seen, now) + _interval;
            if (next - now > _capacity)
            {
                Interlocked.Increment(ref _suppressed);
                suppressed = 0;
                return false;
            }

            long before = Interlocked.CompareExchange(ref _fullAt, next, seen);
            if (before == seen)
            {
                suppressed = Interlocked.Exchange(ref _suppressed, 0);
                return true;
            }

            seen = before;
        }
    }
}
