namespace Vmm.DeviceModel.Registers;

/// <summary>Which accesses the registers of a block take.</summary>
public enum RegisterPolicy
{
    /// <summary>
    /// The natural width at the register's own offset, nothing else; a 64-bit register also as two 32-bit halves (virtio 1.2, 4.1.3.1).
    /// Any other access meets the gap.
    /// </summary>
    Exact,

    /// <summary>
    /// Any access of 1 to 8 bytes, over parts of registers and over several of them. A write reaches a handler as the value and the mask of
    /// the bits that the guest wrote, so that nothing is read, merged and written back behind the guest's back.
    /// </summary>
    Lanes,

    /// <summary>
    /// The registers are bytes, and every byte of an access is an access of its own, the lowest first: what a bus makes of a wide access to an
    /// 8-bit device. Reads that change state happen for each byte too.
    /// </summary>
    Bytes,
}
