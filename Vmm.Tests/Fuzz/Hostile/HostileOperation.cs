using System;
using System.Globalization;

namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>One operation on a driver; all that is random in it, and in what the device does meanwhile, follows from its seed.</summary>
/// <param name="Action">What.</param>
/// <param name="Seed">Its details.</param>
internal readonly record struct HostileOperation(HostileAction Action, uint Seed)
{
    /// <summary>Reads what <see cref="ToString"/> writes.</summary>
    public static HostileOperation Parse(string line)
    {
        string[] words = line.Split(' ');
        return new HostileOperation(Enum.Parse<HostileAction>(words[0]), uint.Parse(words[1], CultureInfo.InvariantCulture));
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Action} {Seed}");
}
