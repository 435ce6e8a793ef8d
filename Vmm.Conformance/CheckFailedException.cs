using System;

namespace Vmm.Conformance;

/// <summary>Ends a check: the device does not do what is asked.</summary>
internal sealed class CheckFailedException(string expected, string seen) : Exception($"expected {expected}, saw {seen}")
{
    public string Expected { get; } = expected;

    public string Seen { get; } = seen;
}
