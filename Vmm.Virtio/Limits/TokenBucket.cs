using System;

namespace Vmm.Virtio.Limits;

/// <summary>Tokens that are taken, and come back at an even rate up to a limit; more can be taken than there are, and are owed then.</summary>
/// <remarks>Of one thread at a time. Exact: what it holds is counted in tokens times the ticks of a refill, so that nothing is rounded.</remarks>
internal sealed class TokenBucket
{
    private readonly TimeProvider _time;
    private readonly long _size;
    private readonly long _refill;
    private readonly Int128 _full;
    private Int128 _level;
    private long _burst;
    private long _since;

    private TokenBucket(TokenBucketOptions options, TimeProvider time)
    {
        _time = time;
        _size = options.Size;
        _refill = Math.Max(1, (long)((Int128)options.RefillTime * time.TimestampFrequency / 1000));
        _full = (Int128)_size * _refill;
        _level = _full;
        _burst = options.OneTimeBurst ?? 0;
        _since = time.GetTimestamp();
    }

    /// <summary>Makes a full bucket.</summary>
    /// <param name="options">Its size and times.</param>
    /// <param name="time">The clock.</param>
    /// <returns>Null where there is no limit.</returns>
    public static TokenBucket? Create(TokenBucketOptions? options, TimeProvider time) =>
        options is null or { Size: 0 } or { RefillTime: 0 } ? null : new TokenBucket(options, time);

    /// <summary>Whether there is not a whole token now, or some are owed.</summary>
    public bool IsEmpty
    {
        get
        {
            Refill();
            return _burst == 0 && _level < _refill;
        }
    }

    /// <summary>Whole tokens that there are now; 0 as well while some are owed.</summary>
    public long Available
    {
        get
        {
            Refill();
            return (long)Int128.Min(long.MaxValue, _burst + (_level > 0 ? _level / _refill : 0));
        }
    }

    /// <summary>How long it takes until there is a token, rounded down.</summary>
    public TimeSpan Wait
    {
        get
        {
            if (!IsEmpty)
            {
                return TimeSpan.Zero;
            }

            Int128 ticks = (_refill - _level + _size - 1) / _size;
            return _time.GetElapsedTime(0, (long)Int128.Min(long.MaxValue, ticks));
        }
    }

    /// <summary>Takes tokens, whether they are there or not.</summary>
    /// <param name="tokens">At least 0.</param>
    public void Take(long tokens)
    {
        Refill();
        long extra = Math.Min(_burst, tokens);
        _burst -= extra;
        _level -= (Int128)(tokens - extra) * _refill;
    }

    private void Refill()
    {
        // A clock that goes back takes nothing away.
        long now = _time.GetTimestamp();
        _level = Int128.Min(_full, _level + ((Int128)Math.Max(0, now - _since) * _size));
        _since = now;
    }
}
