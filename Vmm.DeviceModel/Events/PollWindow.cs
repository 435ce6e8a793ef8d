using System;
using System.Diagnostics;

namespace Vmm.DeviceModel.Events;

/// <summary>
/// How long a worker looks for work before it sleeps. Times without work that were so short that looking would have been better make it longer,
/// doubling up to a limit; one that was longer than the limit ends it, so that a device that has little to do costs nothing.
/// </summary>
/// <remarks>Of one thread. Times are in ticks of <see cref="Stopwatch"/>.</remarks>
internal struct PollWindow
{
    // A part of the limit that the first short sleep gives; less than a sleep and a wake-up cost is of no use.
    private const int FirstPart = 4;

    private readonly long _limit;

    /// <param name="limit">Longest window; zero for none.</param>
    public PollWindow(TimeSpan limit)
    {
        _limit = (long)(limit.TotalSeconds * Stopwatch.Frequency);
    }

    /// <summary>Ticks to look for work, 0 for not at all.</summary>
    public long Length { get; private set; }

    /// <summary>True if it may ever be more than nothing.</summary>
    public readonly bool IsPossible => _limit > 0;

    /// <summary>The worker was woken.</summary>
    /// <param name="idle">Ticks that it had been without work, looking or asleep.</param>
    public void AddIdle(long idle)
    {
        if (idle > _limit)
        {
            Length = 0;
        }
        else if (Length < _limit)
        {
            Length = Math.Clamp(Length * 2, _limit / FirstPart, _limit);
        }
    }
}
