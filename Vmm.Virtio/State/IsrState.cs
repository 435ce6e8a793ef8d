namespace Vmm.Virtio.State;

/// <summary>The ISR status byte (version 1).</summary>
public sealed record IsrState
{
    internal const string Kind = "virtio.isr";

    internal const int Version = 1;

    /// <summary>The bits that the driver has not read.</summary>
    public required int Bits { get; init; }
}
