namespace Vmm.Tests.Fakes;

/// <summary>One buffer that a driver puts into a chain.</summary>
public readonly record struct GuestBuffer(ulong Address, uint Length, bool IsWritable)
{
    public static GuestBuffer Readable(ulong address, uint length) => new(address, length, false);

    public static GuestBuffer Writable(ulong address, uint length) => new(address, length, true);
}
