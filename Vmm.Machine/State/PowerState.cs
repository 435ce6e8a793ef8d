namespace Vmm.Machine.State;

/// <summary>The state of the ACPI registers (version 2).</summary>
public sealed record PowerState
{
    /// <summary>Kind in saved states.</summary>
    internal const string Kind = "acpi";

    /// <summary>Version that is written.</summary>
    internal const int Version = 2;

    /// <summary>The version of registers that had no event.</summary>
    internal const int WithoutStatus = 1;

    /// <summary>PM1 status; null in version 1.</summary>
    public ushort? Status { get; init; }

    /// <summary>PM1 enable.</summary>
    public required ushort Enable { get; init; }

    /// <summary>PM1 control.</summary>
    public required ushort Control { get; init; }

    /// <summary>The PM timer at the moment of saving. It goes on from there: what passed since then has not passed for it.</summary>
    public required uint Timer { get; init; }
}
