using System;

namespace Vmm.Conformance;

/// <summary>What a check needs of the function, or of the way to it.</summary>
[Flags]
public enum Need
{
    /// <summary>Any function.</summary>
    None = 0,

    /// <summary>A virtio function whose common configuration and notifications can be reached.</summary>
    Virtio = 1 << 0,

    /// <summary>The MSI-X capability.</summary>
    Msix = 1 << 1,

    /// <summary>At least two MSI-X vectors.</summary>
    TwoVectors = Msix | (1 << 2),

    /// <summary>The INTx pin, and a way to hear of it.</summary>
    Pin = 1 << 3,

    /// <summary>Device configuration.</summary>
    DeviceConfiguration = Virtio | (1 << 4),

    /// <summary>A device type that the suite can have use a buffer.</summary>
    Work = Virtio | (1 << 5),

    /// <summary>At least two queues.</summary>
    TwoQueues = Virtio | (1 << 6),

    /// <summary>The window in configuration space.</summary>
    Window = Virtio | (1 << 7),

    /// <summary>A memory BAR.</summary>
    MemoryBar = 1 << 8,

    /// <summary>A 64-bit memory BAR.</summary>
    WideBar = 1 << 9,

    /// <summary>An expansion ROM.</summary>
    Rom = 1 << 10,

    /// <summary>The power management capability.</summary>
    PowerManagement = 1 << 11,

    /// <summary>The PCI Express capability.</summary>
    Express = 1 << 12,

    /// <summary>Function-level reset.</summary>
    FunctionReset = Express | (1 << 13),

    /// <summary>A shared memory region.</summary>
    SharedMemory = 1 << 14,

    /// <summary>A way to the function on which BAR registers and the Command register decide what BAR accesses reach.</summary>
    Decoding = 1 << 15,

    /// <summary>A way to the function on which the MSI-X table and the message control word are reached as the function has them.</summary>
    MessageTable = Msix | (1 << 16),

    /// <summary>A function that nobody has used since it was powered on.</summary>
    PowerOn = 1 << 17,

    /// <summary>A medium that may be overwritten.</summary>
    Scratch = 1 << 18,

    /// <summary>An I/O BAR.</summary>
    PortBar = 1 << 19,

    /// <summary>Configuration space of 4 KiB.</summary>
    ExtendedSpace = 1 << 20,

    /// <summary>A vendor data capability of virtio.</summary>
    VendorData = 1 << 21,
}
