using System.Globalization;

namespace Vmm.Cli;

/// <summary>Numbers of bytes as they are typed: with K, M, G or T where nothing is left over.</summary>
internal static class ByteCount
{
    /// <summary>Writes a number of bytes.</summary>
    public static string Of(ulong bytes)
    {
        const string Units = "KMGT";
        int unit = -1;
        while (unit < Units.Length - 1 && bytes != 0 && bytes % 1024 == 0)
        {
            bytes /= 1024;
            unit++;
        }

        string suffix = unit >= 0 ? Units[unit].ToString() : bytes == 1 ? " byte" : " bytes";
        return bytes.ToString(CultureInfo.InvariantCulture) + suffix;
    }
}
