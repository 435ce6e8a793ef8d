using System;

namespace Vmm.Virtio.Devices;

/// <summary>What the receiver of a packet can do by itself, so that the sender need not.</summary>
[Flags]
public enum NetOffloads
{
    /// <summary>Nothing: whole checksums, packets of at most the MTU.</summary>
    None = 0,

    /// <summary>Packets may carry partial checksums.</summary>
    Checksum = 1,

    /// <summary>TCP over IPv4 may be unsegmented.</summary>
    Tso4 = 2,

    /// <summary>TCP over IPv6 may be unsegmented.</summary>
    Tso6 = 4,

    /// <summary>Unsegmented TCP may have ECN set.</summary>
    TsoEcn = 8,
}
