namespace Vmm.Testing.Rings;

/// <summary>One buffer that a driver puts into a chain.</summary>
/// <param name="Address">Address as the device is to see it.</param>
/// <param name="Length">Bytes.</param>
/// <param name="IsWritable">For the device to write; else to read.</param>
public readonly record struct GuestBuffer(ulong Address, uint Length, bool IsWritable)
{
    /// <summary>A buffer that the device reads.</summary>
    /// <param name="address">Address as the device is to see it.</param>
    /// <param name="length">Bytes.</param>
    public static GuestBuffer Readable(ulong address, uint length) => new(address, length, false);

    /// <summary>A buffer that the device writes.</summary>
    /// <param name="address">Address as the device is to see it.</param>
    /// <param name="length">Bytes.</param>
    public static GuestBuffer Writable(ulong address, uint length) => new(address, length, true);
}
