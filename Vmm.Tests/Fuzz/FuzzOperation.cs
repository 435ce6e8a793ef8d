using System;
using System.Globalization;

namespace Vmm.Tests.Fuzz;

/// <summary>One operation of the random driver.</summary>
/// <param name="Action">What.</param>
/// <param name="Vcpu">Which of two vCPUs does it.</param>
/// <param name="Function">Which function of the machine, by number.</param>
/// <param name="Bar">Which of its BARs.</param>
/// <param name="Width">Bytes.</param>
/// <param name="Address">Offset or address.</param>
/// <param name="Value">What is written or waited for.</param>
internal readonly record struct FuzzOperation(FuzzAction Action, byte Vcpu, byte Function, byte Bar, byte Width, ulong Address, ulong Value)
{
    /// <summary>A guest cannot do it: it comes from the host.</summary>
    public bool IsFromHost => Action is FuzzAction.RamAdd or FuzzAction.RamRemove or FuzzAction.Arrive or FuzzAction.Unplug or FuzzAction.Plug;

    /// <summary>Reads what <see cref="ToString"/> writes.</summary>
    /// <exception cref="FormatException">The line is no operation.</exception>
    public static FuzzOperation Parse(string line)
    {
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length != 7 || !Enum.TryParse(words[0], out FuzzAction action))
        {
            throw new FormatException($"no operation: {line}");
        }

        return new FuzzOperation(
            action, Small(words[1], "vcpu"), Small(words[2], "function"), Small(words[3], "bar"), Small(words[4], "width"), Large(words[5]),
            Large(words[6]));
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        return string.Create(CultureInfo.InvariantCulture, $"{Action} vcpu{Vcpu} function{Function} bar{Bar} width{Width} 0x{Address:x} 0x{Value:x}");
    }

    private static byte Small(string word, string name) => byte.Parse(word[name.Length..], CultureInfo.InvariantCulture);

    private static ulong Large(string word) => ulong.Parse(word[2..], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
