using System;
using Vmm.DeviceModel.Bus;

namespace Vmm.Conformance;

/// <summary>What many checks do.</summary>
internal static class CheckContextExtensions
{
    /// <summary>Bytes of configuration space keep their value, whatever is written in whatever width.</summary>
    /// <param name="check">The check.</param>
    /// <param name="offset">The first byte.</param>
    /// <param name="width">1, 2 or 4 bytes.</param>
    public static void ReadOnly(this CheckContext check, int offset, int width)
    {
        ArgumentNullException.ThrowIfNull(check);
        uint before = check.Access.ReadConfiguration(offset, width);
        uint all = (uint)AccessWidth.Mask(width);
        foreach (uint value in (uint[])[all, 0, ~before & all])
        {
            check.Access.WriteConfiguration(offset, width, value);
            check.Equal(
                $"{width} bytes at {CheckContext.Hex((uint)offset)} after {CheckContext.Hex(value)} was written", before,
                check.Access.ReadConfiguration(offset, width));
        }

        for (int i = 0; i < width; i++)
        {
            check.Access.WriteConfiguration(offset + i, 1, 0x5a);
        }

        check.Equal(
            $"{width} bytes at {CheckContext.Hex((uint)offset)} after writes of single bytes", before, check.Access.ReadConfiguration(offset, width));
    }

    /// <summary>Writes 1, 2 or 4 bytes as single bytes or as words, lowest first.</summary>
    /// <param name="check">The check.</param>
    /// <param name="offset">The first byte, a multiple of 4.</param>
    /// <param name="pieces">Bytes of each write, 1, 2 or 4.</param>
    /// <param name="value">The value of 4 bytes.</param>
    public static void WriteInPieces(this CheckContext check, int offset, int pieces, uint value)
    {
        ArgumentNullException.ThrowIfNull(check);
        for (int i = 0; i < 4; i += pieces)
        {
            check.Access.WriteConfiguration(offset + i, pieces, (value >> (8 * i)) & (uint)AccessWidth.Mask(pieces));
        }
    }

    /// <summary>Gives the function the time that it may take to come back from D3hot: 10 ms (PCI Power Management 1.2, 5.6.1).</summary>
    /// <param name="check">The check.</param>
    public static void Settle(this CheckContext check)
    {
        ArgumentNullException.ThrowIfNull(check);
        Driving.Deadline.WaitFor(static () => false, TimeSpan.FromMilliseconds(10));
    }
}
