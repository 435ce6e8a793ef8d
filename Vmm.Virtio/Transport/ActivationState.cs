namespace Vmm.Virtio.Transport;

/// <summary>How far the device is (VTP-6).</summary>
internal enum ActivationState
{
    /// <summary>No queue runs.</summary>
    Inactive,

    /// <summary>DRIVER_OK was set, the device is being started.</summary>
    Activating,

    /// <summary>Enabled queues run.</summary>
    Active,
}
