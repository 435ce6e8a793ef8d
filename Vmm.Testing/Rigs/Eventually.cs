using System;
using System.Diagnostics;
using System.Threading;

namespace Vmm.Testing.Rigs;

/// <summary>Waits for another thread.</summary>
public static class Eventually
{
    /// <summary>Patience of the rigs, in milliseconds: far more than a loaded machine takes.</summary>
    public const int Patience = 20_000;

    /// <summary>Waits until something holds that happens on another thread.</summary>
    /// <param name="condition">Asked again and again, on the calling thread.</param>
    /// <param name="what">The condition in words, for the exception.</param>
    /// <exception cref="TimeoutException">It does not hold within <see cref="Patience"/>.</exception>
    public static void Holds(Func<bool> condition, string what)
    {
        ArgumentNullException.ThrowIfNull(condition);
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start).TotalMilliseconds >= Patience)
            {
                throw new TimeoutException($"not within {Patience / 1000} s: {what}");
            }

            Thread.Yield();
        }
    }
}
