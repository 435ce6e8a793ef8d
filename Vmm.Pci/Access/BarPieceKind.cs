namespace Vmm.Pci.Access;

/// <summary>How a guest or a driver reaches a part of the BAR of a device behind a backend.</summary>
public enum BarPieceKind
{
    /// <summary>By an access of exactly its width to the device.</summary>
    Trapped,

    /// <summary>Without an exit or a call, by a mapping of the device's pages.</summary>
    Mapped,

    /// <summary>It is the MSI-X table, which a guest sees emulated and a driver leaves to the backend.</summary>
    Table,

    /// <summary>It is the MSI-X pending bit array, which a guest sees emulated.</summary>
    PendingBits,
}
