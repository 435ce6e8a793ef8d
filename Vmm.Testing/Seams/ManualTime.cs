using System;

namespace Vmm.Testing.Seams;

/// <summary>A clock that stands until it is moved, for timestamps alone. For one thread.</summary>
public sealed class ManualTime : TimeProvider
{
    private long _ticks;

    /// <inheritdoc/>
    public override long TimestampFrequency => 1_000_000;

    /// <inheritdoc/>
    public override long GetTimestamp() => _ticks;

    /// <summary>Moves the clock.</summary>
    /// <param name="by">How far, in whole microseconds.</param>
    public void Advance(TimeSpan by) => _ticks += (long)by.TotalMicroseconds;
}
