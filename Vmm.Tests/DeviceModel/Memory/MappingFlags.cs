using System;
using System.Globalization;
using System.IO;

namespace Vmm.Tests.DeviceModel.Memory;

/// <summary>A mapping of this process as /proc/self/smaps describes it.</summary>
internal static class MappingFlags
{
    /// <summary>The words of VmFlags (proc(5)) of the mapping that holds an address.</summary>
    public static unsafe string[] Of(byte* address)
    {
        bool here = false;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words[0].Split('-') is [var first, var end] && TryParse(first, out ulong start) && TryParse(end, out ulong behind))
            {
                here = (ulong)address >= start && (ulong)address < behind;
            }
            else if (here && words[0] == "VmFlags:")
            {
                return words[1..];
            }
        }

        throw new InvalidOperationException($"no mapping holds 0x{(ulong)address:x}");
    }

    private static bool TryParse(string text, out ulong value) =>
        ulong.TryParse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out value);
}
