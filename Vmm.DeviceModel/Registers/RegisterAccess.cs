namespace Vmm.DeviceModel.Registers;

/// <summary>What a guest may do with a register.</summary>
public enum RegisterAccess
{
    /// <summary>Reads only; writes are dropped.</summary>
    ReadOnly,

    /// <summary>Reads and writes.</summary>
    ReadWrite,

    /// <summary>Writes only; reads give zero.</summary>
    WriteOnly,

    /// <summary>
    /// Reads change state (cleared by reading, taken out of a FIFO): never widened, never repeated, never made by anybody but the guest.
    /// </summary>
    ReadSideEffect,
}
