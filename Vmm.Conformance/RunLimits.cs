using System;

namespace Vmm.Conformance;

/// <summary>How long a run waits for what. No wait is without an end.</summary>
public sealed record RunLimits
{
    /// <summary>For what a device has to do: a reset, a request, an interrupt.</summary>
    public TimeSpan Reply { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>For what a device must not do: after this it has not done it.</summary>
    public TimeSpan Quiet { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>For a whole check; it did not end otherwise.</summary>
    public TimeSpan Check { get; init; } = TimeSpan.FromSeconds(30);
}
