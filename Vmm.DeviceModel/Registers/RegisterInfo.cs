namespace Vmm.DeviceModel.Registers;

/// <summary>One line of a register table, for documentation, traces and introspection.</summary>
/// <param name="Offset">Byte offset in the block.</param>
/// <param name="Width">1, 2, 4 or 8 bytes.</param>
/// <param name="Access">What a guest may do.</param>
/// <param name="Name">The specification's name.</param>
/// <param name="Count">1, or the number of registers of an array.</param>
/// <param name="Stride">Bytes from one register of an array to the next.</param>
public readonly record struct RegisterInfo(int Offset, int Width, RegisterAccess Access, string Name, int Count, int Stride)
{
    /// <summary>
    /// True if reading it changes nothing and gives what is in it, so that a trace, an inspection or a debugger may do so behind the guest's back.
    /// </summary>
    public bool ReadsSafely => Access is RegisterAccess.ReadOnly or RegisterAccess.ReadWrite;
}
