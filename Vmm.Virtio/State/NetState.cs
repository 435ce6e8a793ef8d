namespace Vmm.Virtio.State;

/// <summary>The state of a network card (version 1).</summary>
public sealed record NetState
{
    internal const string Kind = "virtio.net";

    internal const int Version = 1;

    /// <summary>The card's address, which the driver may have changed: first byte in the highest bits, as text shows it.</summary>
    public required ulong Mac { get; init; }

    /// <summary>The driver sees a carrier.</summary>
    public required bool LinkUp { get; init; }

    /// <summary>Pairs of queues that the driver uses.</summary>
    public required int Pairs { get; init; }

    /// <summary>Offloads that received packets may leave to the driver (VIRTIO_NET_HDR numbering of this product's own).</summary>
    public required int ReceiveOffloads { get; init; }
}
