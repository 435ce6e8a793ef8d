namespace Vmm.Virtio.State;

/// <summary>The state of a console (version 1).</summary>
public sealed record ConsoleState
{
    internal const string Kind = "virtio.console";

    internal const int Version = 1;

    /// <summary>Columns that the driver sees.</summary>
    public required ushort Columns { get; init; }

    /// <summary>Rows that the driver sees.</summary>
    public required ushort Rows { get; init; }
}
