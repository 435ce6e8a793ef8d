using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;

namespace Vmm.Tests.Fuzz;

/// <summary>Makes a list of operations that fails as short as it can in the time it has (delta debugging).</summary>
internal static class FuzzShrinker
{
    /// <param name="operations">A list that failed.</param>
    /// <param name="fails">Runs a list on a fresh machine; true if it fails still.</param>
    /// <param name="limit">How long to try.</param>
    /// <returns>The shortest list found that fails, and whether the whole list failed again at all.</returns>
    public static (IReadOnlyList<T> Operations, bool Reproduced) Shrink<T>(
        IReadOnlyList<T> operations, Func<IReadOnlyList<T>, bool> fails, TimeSpan limit)
    {
        long start = Stopwatch.GetTimestamp();
        T[] current = [.. operations];
        if (!fails(current))
        {
            return (current, false);
        }

        int parts = 2;
        while (current.Length > 1 && Stopwatch.GetElapsedTime(start) < limit)
        {
            int size = (current.Length + parts - 1) / parts;
            bool reduced = false;
            for (int from = 0; from < current.Length && Stopwatch.GetElapsedTime(start) < limit;)
            {
                T[] rest = [.. current.Take(from), .. current.Skip(from + size)];
                if (rest.Length > 0 && fails(rest))
                {
                    current = rest;
                    reduced = true;
                }
                else
                {
                    from += size;
                }
            }

            if (!reduced && size == 1)
            {
                break;
            }

            parts = reduced ? Math.Max(parts / 2, 2) : Math.Min(parts * 2, current.Length);
        }

        return (current, true);
    }
}
