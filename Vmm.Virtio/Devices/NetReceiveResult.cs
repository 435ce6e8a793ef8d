namespace Vmm.Virtio.Devices;

/// <summary>What came of an attempt to take a packet from a back-end.</summary>
public enum NetReceiveResult
{
    /// <summary>A packet was taken.</summary>
    Packet,

    /// <summary>There is none now; the descriptor says when.</summary>
    Empty,

    /// <summary>The back-end is gone for good.</summary>
    Gone,
}
