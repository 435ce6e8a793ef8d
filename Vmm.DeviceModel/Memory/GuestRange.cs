namespace Vmm.DeviceModel.Memory;

/// <summary>A guest address and a length that are known not to wrap (MEM-1).</summary>
public readonly record struct GuestRange
{
    private GuestRange(ulong address, ulong length)
    {
        Address = address;
        Length = length;
    }

    /// <summary>First byte.</summary>
    public ulong Address { get; }

    /// <summary>Bytes; may be 0.</summary>
    public ulong Length { get; }

    /// <summary>Checks that the last byte is at most 2^64 - 1.</summary>
    /// <param name="address">First byte.</param>
    /// <param name="length">Bytes; 0 is a range too.</param>
    /// <param name="range">The range.</param>
    /// <returns>False if the range would wrap.</returns>
    public static bool TryCreate(ulong address, ulong length, out GuestRange range)
    {
        range = new GuestRange(address, length);
        return length == 0 || length - 1 <= ulong.MaxValue - address;
    }

    /// <summary>True if <paramref name="offset"/> and <paramref name="length"/> lie inside <paramref name="size"/>, for any values.</summary>
    /// <param name="offset">Start.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="size">Size of the whole.</param>
    public static bool Fits(ulong offset, ulong length, ulong size)
    {
        return offset <= size && length <= size - offset;
    }
}
