namespace Vmm.Vfio.Passthrough;

/// <summary>How the guest reaches a part of a passed-through BAR.</summary>
public enum BarPieceKind
{
    /// <summary>By an access of exactly its width to the device.</summary>
    Trapped,

    /// <summary>Without an exit, by a mapping of the device's pages.</summary>
    Mapped,

    /// <summary>It is the MSI-X table, which is emulated.</summary>
    Table,

    /// <summary>It is the MSI-X pending bit array, which is emulated.</summary>
    PendingBits,
}
