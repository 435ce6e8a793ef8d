using System;

namespace Vmm.Pci.ConfigSpace;

/// <summary>The Status register (PCI 3.0, 6.2.3). The error bits are write-1-to-clear.</summary>
[Flags]
public enum PciStatus
{
    /// <summary>Nothing to report.</summary>
    None = 0,

    /// <summary>An INTx interrupt is pending in the function, whether or not it is disabled.</summary>
    InterruptStatus = 1 << 3,

    /// <summary>The function has a capability list.</summary>
    CapabilitiesList = 1 << 4,

    /// <summary>Parity error as a master.</summary>
    MasterDataParityError = 1 << 8,

    /// <summary>Signalled a target abort.</summary>
    SignaledTargetAbort = 1 << 11,

    /// <summary>Received a target abort.</summary>
    ReceivedTargetAbort = 1 << 12,

    /// <summary>Received a master abort.</summary>
    ReceivedMasterAbort = 1 << 13,

    /// <summary>Signalled a system error.</summary>
    SignaledSystemError = 1 << 14,

    /// <summary>Detected a parity error.</summary>
    DetectedParityError = 1 << 15,
}
