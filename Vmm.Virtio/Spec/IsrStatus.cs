using System;

namespace Vmm.Virtio.Spec;

/// <summary>The ISR status byte (virtio 1.2, 4.1.4.5): why the interrupt line is asserted.</summary>
[Flags]
public enum IsrStatus : byte
{
    /// <summary>No reason.</summary>
    None = 0,

    /// <summary>A queue has used buffers.</summary>
    Queue = 1,

    /// <summary>Device configuration or the device status has changed.</summary>
    Configuration = 2,
}
