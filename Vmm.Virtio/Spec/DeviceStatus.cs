using System;

namespace Vmm.Virtio.Spec;

/// <summary>The device status field (virtio 1.2, 2.1).</summary>
[Flags]
public enum DeviceStatus : byte
{
    /// <summary>Reset: nothing negotiated, nothing running. Writing it resets the device.</summary>
    None = 0,

    /// <summary>The driver has found the device.</summary>
    Acknowledge = 1,

    /// <summary>The driver knows how to drive it.</summary>
    Driver = 2,

    /// <summary>The driver is set up; the device runs.</summary>
    DriverOk = 4,

    /// <summary>Feature negotiation is complete.</summary>
    FeaturesOk = 8,

    /// <summary>Set by the device alone: it has failed in a way that only a reset cures.</summary>
    NeedsReset = 0x40,

    /// <summary>The driver has given up on the device.</summary>
    Failed = 0x80,
}
