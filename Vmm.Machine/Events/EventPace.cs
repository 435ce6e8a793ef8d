using System;
using System.Threading;

namespace Vmm.Machine.Events;

/// <summary>How many events one device may tell: a guest that starts and resets it in a loop is not to fill anybody's file. Thread-safe.</summary>
/// <param name="time">The clock.</param>
internal sealed class EventPace(TimeProvider time)
{
    private const int Burst = 32;

    private readonly Lock _lock = new();
    private double _left = Burst;
    private long _last = time.GetTimestamp();

    /// <summary>Takes one; there are 32 at first, and one more each second.</summary>
    public bool Allows()
    {
        lock (_lock)
        {
            long now = time.GetTimestamp();
            _left = Math.Min(Burst, _left + time.GetElapsedTime(_last, now).TotalSeconds);
            _last = now;
            if (_left < 1)
            {
                return false;
            }

            _left--;
            return true;
        }
    }
}
