namespace Vmm.Machine.State;

/// <summary>The state of the reset control register (version 1).</summary>
public sealed record ResetState
{
    /// <summary>Kind in saved states.</summary>
    internal const string Kind = "reset-control";

    /// <summary>Version that is written.</summary>
    internal const int Version = 1;

    /// <summary>The register.</summary>
    public required byte Value { get; init; }
}
