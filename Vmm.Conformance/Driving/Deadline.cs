using System;
using System.Diagnostics;
using System.Threading;

namespace Vmm.Conformance.Driving;

/// <summary>Waiting with an end.</summary>
internal static class Deadline
{
    /// <summary>Looks at a condition until it holds or the time is over; the last look comes after the time is over.</summary>
    /// <returns>Whether it held.</returns>
    public static bool WaitFor(Func<bool> condition, TimeSpan limit)
    {
        long start = Stopwatch.GetTimestamp();
        var spin = new SpinWait();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > limit)
            {
                return condition();
            }

            spin.SpinOnce();
        }

        return true;
    }

    /// <summary>Runs an action on a thread of its own.</summary>
    /// <param name="name">Name of the thread.</param>
    /// <param name="action">What to run; must not throw.</param>
    /// <param name="limit">How long it may take.</param>
    /// <param name="thread">The thread, which runs on if the time was over.</param>
    /// <returns>False if it has not ended in time.</returns>
    public static bool Run(string name, Action action, TimeSpan limit, out Thread thread)
    {
        thread = new Thread(() => action()) { IsBackground = true, Name = name };
        thread.Start();
        return thread.Join(limit);
    }
}
