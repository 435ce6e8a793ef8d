using System;
using System.Globalization;
using System.IO;
using Vmm.DeviceModel.Interop;

namespace Vmm.Benchmarks.Io;

/// <summary>Which processor a thread of this process runs on.</summary>
internal static unsafe class Processors
{
    /// <summary>Has a thread run on one processor; does nothing where there is no such one.</summary>
    /// <param name="thread">The kernel's number, or 0 for the calling thread.</param>
    /// <param name="processor">Its number, below 64.</param>
    public static void Pin(int thread, int processor)
    {
        ulong mask = 1UL << processor;
        _ = Libc.sched_setaffinity(thread, sizeof(ulong), &mask);
    }

    /// <summary>The number of the thread of a name, waiting until it has started.</summary>
    public static int FindThread(string name)
    {
        for (DateTime end = DateTime.UtcNow.AddSeconds(10); DateTime.UtcNow < end;)
        {
            foreach (string task in Directory.GetDirectories("/proc/self/task"))
            {
                if (File.ReadAllText(task + "/comm").Trim() == name)
                {
                    return int.Parse(Path.GetFileName(task), CultureInfo.InvariantCulture);
                }
            }
        }

        throw new InvalidOperationException($"no thread '{name}'");
    }
}
