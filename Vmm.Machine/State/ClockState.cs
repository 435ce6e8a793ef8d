using System.Collections.Generic;

namespace Vmm.Machine.State;

/// <summary>The state of a real-time clock (version 1).</summary>
public sealed record ClockState
{
    /// <summary>Kind in saved states.</summary>
    internal const string Kind = "rtc";

    /// <summary>Version that is written.</summary>
    internal const int Version = 1;

    /// <summary>The register that the data port leads to.</summary>
    public required byte Index { get; init; }

    /// <summary>Register A.</summary>
    public required byte A { get; init; }

    /// <summary>Register B.</summary>
    public required byte B { get; init; }

    /// <summary>Register C, which nobody has read.</summary>
    public required byte C { get; init; }

    /// <summary>
    /// How far the clock is ahead of the host's in UTC, in units of 100 ns. So a clock that is restored shows the time of its host then, moved by what
    /// the guest had set: what passed since it was saved has passed for it too.
    /// </summary>
    public required long Offset { get; init; }

    /// <summary>The bytes of its memory that are not 0, by ascending index; those that show the time only if the guest has stopped it.</summary>
    public required IReadOnlyList<ClockCell> Memory { get; init; }
}
