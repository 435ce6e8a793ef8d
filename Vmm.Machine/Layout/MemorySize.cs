using System.Globalization;

namespace Vmm.Machine.Layout;

/// <summary>Sizes as the command line writes them.</summary>
internal static class MemorySize
{
    /// <summary><c>size=3G</c>: with the largest unit that leaves no rest.</summary>
    public static string Word(ulong bytes)
    {
        const string Units = "KMGT";
        int unit = 0;
        while (unit < Units.Length && bytes != 0 && bytes % 1024 == 0)
        {
            bytes /= 1024;
            unit++;
        }

        return string.Create(CultureInfo.InvariantCulture, $"size={bytes}{(unit == 0 ? "" : Units[unit - 1])}");
    }
}
