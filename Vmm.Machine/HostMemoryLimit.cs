using System;
using System.Globalization;
using System.IO;
using Vmm.Machine.Host;
using Vmm.Machine.Layout;

namespace Vmm.Machine;

/// <summary>Keeps a mistyped size from becoming a machine that the host kills later.</summary>
internal static class HostMemoryLimit
{
    private const int Overcommit = 4;

    /// <summary>
    /// Refuses RAM of more than four times what the host has with its swap: pages are given when they are touched, so some more is fine.
    /// </summary>
    /// <exception cref="MachineException">The host could never give that much.</exception>
    public static void Check(ulong size)
    {
        ulong host = Read();
        if (host != 0 && size / Overcommit > host)
        {
            throw new MachineException(
                "memory", MemorySize.Word(size), $"more than {Overcommit} times the {host >> 20} MiB that this host has with its swap; give less");
        }
    }

    /// <summary>RAM and swap of the host in bytes; 0 where /proc does not tell.</summary>
    private static ulong Read()
    {
        ulong total = 0;
        try
        {
            foreach (string line in File.ReadLines("/proc/meminfo"))
            {
                if (line.StartsWith("MemTotal:", StringComparison.Ordinal) || line.StartsWith("SwapTotal:", StringComparison.Ordinal))
                {
                    string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                    total += ulong.Parse(words[1], CultureInfo.InvariantCulture) << 10;
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or IndexOutOfRangeException)
        {
            return 0;
        }

        return total;
    }
}
