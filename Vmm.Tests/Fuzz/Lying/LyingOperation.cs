using System;
using System.Globalization;

namespace Vmm.Tests.Fuzz.Lying;

/// <summary>One operation on a driver; all that is random in it, and in what the device does meanwhile, follows from its seed.</summary>
/// <param name="Action">What.</param>
/// <param name="Seed">Its details.</param>
internal readonly record struct LyingOperation(LyingAction Action, uint Seed)
{
    /// <summary>Reads what <see cref="ToString"/> writes.</summary>
    public static LyingOperation Parse(string line)
    {
        string[] words = line.Split(' ');
        return new LyingOperation(Enum.Parse<LyingAction>(words[0]), uint.Parse(words[1], CultureInfo.InvariantCulture));
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Action} {Seed}");
}
