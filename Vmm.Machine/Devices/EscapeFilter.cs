using System;

namespace Vmm.Machine.Devices;

/// <summary>Takes the commands of a terminal out of what is typed: Ctrl-A x ends the run, Ctrl-A Ctrl-A is one Ctrl-A.</summary>
/// <remarks>Used by one thread.</remarks>
internal sealed class EscapeFilter(Action escape)
{
    private const byte Prefix = 0x01;                           // Ctrl-A
    private const byte End = (byte)'x';

    private bool _prefixed;

    /// <summary>Filters in place.</summary>
    /// <param name="typed">What was read.</param>
    /// <returns>How many characters are left, from the start.</returns>
    public int Apply(Span<byte> typed)
    {
        int kept = 0;
        foreach (byte value in typed)
        {
            if (_prefixed)
            {
                _prefixed = false;
                if (value == End)
                {
                    escape();
                }

                if (value != Prefix)
                {
                    continue;                                   // a command, or none that exists
                }
            }
            else if (value == Prefix)
            {
                _prefixed = true;
                continue;
            }

            typed[kept++] = value;
        }

        return kept;
    }
}
