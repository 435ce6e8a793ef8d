using System;
using System.Globalization;
using System.IO;

namespace Vmm.Machine;

/// <summary>How long the process has been running, for the time line in the log.</summary>
internal static class MachineClock
{
    private const int ClockTicksPerSecond = 100;                // USER_HZ, the unit of /proc
    private const int StartTimeField = 19;                      // of the fields after the name, from 0: field 22 of proc(5)

    /// <summary>Milliseconds since the process was started, to 10 ms; 0 where /proc does not tell.</summary>
    public static long Milliseconds()
    {
        try
        {
            string stat = File.ReadAllText("/proc/self/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            double start = double.Parse(fields[StartTimeField], CultureInfo.InvariantCulture) / ClockTicksPerSecond;
            string uptime = File.ReadAllText("/proc/uptime");
            double now = double.Parse(uptime[..uptime.IndexOf(' ', StringComparison.Ordinal)], CultureInfo.InvariantCulture);
            return (long)Math.Round((now - start) * 1000);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or ArgumentException or IndexOutOfRangeException)
        {
            return 0;
        }
    }
}
