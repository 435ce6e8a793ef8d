using System.Threading;

namespace Vmm.DeviceModel.Memory;

/// <summary>A run of guest RAM behind one host mapping.</summary>
/// <remarks>
/// Who uses its bytes outside a scope of the memory's domain pins it, from inside one: a pinned region is not removed, and its mapping stays
/// until the last pin has gone, also if its owner disposes it (CON-2).
/// </remarks>
public sealed unsafe class GuestMemoryRegion
{
    private int _pins;

    internal GuestMemoryRegion(ulong address, ulong length, HostMemory memory, ulong offset)
    {
        Address = address;
        Length = length;
        Memory = memory;
        Offset = offset;
        Host = memory.Pointer + offset;
    }

    /// <summary>First guest-physical address.</summary>
    public ulong Address { get; }

    /// <summary>Bytes.</summary>
    public ulong Length { get; }

    /// <summary>The mapping.</summary>
    public HostMemory Memory { get; }

    /// <summary>Offset of the region in the mapping.</summary>
    public ulong Offset { get; }

    /// <summary>Pins that are held now.</summary>
    public int PinCount => Volatile.Read(ref _pins);

    /// <summary>Host address of the first byte.</summary>
    internal byte* Host { get; }

    /// <summary>Holds the region and its mapping until <see cref="Unpin"/>. From inside the memory's domain, where the region is in the map.</summary>
    internal void Pin()
    {
        if (Interlocked.Increment(ref _pins) == 1)
        {
            Memory.Hold();
        }
    }

    /// <summary>Lets go of what <see cref="Pin"/> holds. From any thread.</summary>
    internal void Unpin()
    {
        if (Interlocked.Decrement(ref _pins) == 0)
        {
            Memory.Release();
        }
    }
}
