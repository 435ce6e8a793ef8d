using System.Collections.Generic;

namespace Vmm.Virtio.State;

/// <summary>The state of a virtio transport (version 1).</summary>
public sealed record TransportState
{
    /// <summary>Kind in saved states.</summary>
    internal const string Kind = "virtio.transport";

    /// <summary>Version that is written.</summary>
    internal const int Version = 1;

    /// <summary>device_status.</summary>
    public required byte Status { get; init; }

    /// <summary>The device was started and is served: between DRIVER_OK and reset, and nothing failed on the way up.</summary>
    public required bool Active { get; init; }

    /// <summary>device_feature_select.</summary>
    public required uint DeviceSelect { get; init; }

    /// <summary>driver_feature_select.</summary>
    public required uint DriverSelect { get; init; }

    /// <summary>driver_feature as the driver wrote it: 64 bits, both banks.</summary>
    public required ulong Written { get; init; }

    /// <summary>Features in force; 0 before FEATURES_OK.</summary>
    public required ulong Negotiated { get; init; }

    /// <summary>config_msix_vector.</summary>
    public required ushort ConfigurationVector { get; init; }

    /// <summary>config_generation as the driver saw it last.</summary>
    public required byte Generation { get; init; }

    /// <summary>Configuration has changed since the driver looked last.</summary>
    public required bool ChangeUnseen { get; init; }

    /// <summary>queue_select.</summary>
    public required uint QueueSelect { get; init; }

    /// <summary>The queues that are not as at power-on, by ascending index.</summary>
    public required IReadOnlyList<QueueState> Queues { get; init; }
}
