namespace Vmm.Virtio.State;

/// <summary>The state of a block device (version 1).</summary>
public sealed record BlockState
{
    internal const string Kind = "virtio.block";

    internal const int Version = 1;

    /// <summary>Sectors of 512 bytes, for comparison only.</summary>
    public required ulong Sectors { get; init; }

    /// <summary>The write-back switch in device configuration.</summary>
    public required bool WriteBack { get; init; }
}
