using System;

namespace Vmm.Tests.Fakes;

/// <summary>A clock that stands until it is moved.</summary>
public sealed class ManualTime : TimeProvider
{
    private long _ticks;

    /// <inheritdoc/>
    public override long TimestampFrequency => 1_000_000;

    /// <inheritdoc/>
    public override long GetTimestamp() => _ticks;

    /// <summary>Moves the clock.</summary>
    public void Advance(TimeSpan by) => _ticks += (long)by.TotalMicroseconds;
}
