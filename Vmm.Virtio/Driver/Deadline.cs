using System;
using System.Diagnostics;
using System.Threading;

namespace Vmm.Virtio.Driver;

/// <summary>Waits for a register to change.</summary>
internal static class Deadline
{
    /// <summary>Looks until a condition holds or the time is up.</summary>
    /// <param name="timeout">How long.</param>
    /// <param name="condition">Looks; it is asked at least once.</param>
    /// <returns>False if it did not hold in time.</returns>
    public static bool TryWait(TimeSpan timeout, Func<bool> condition)
    {
        long start = Stopwatch.GetTimestamp();
        var spin = new SpinWait();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > timeout)
            {
                return false;
            }

            spin.SpinOnce();
        }

        return true;
    }
}
