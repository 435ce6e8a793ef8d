namespace Vmm.DeviceModel.Memory;

/// <summary>A run of guest RAM behind one host mapping.</summary>
public sealed unsafe class GuestMemoryRegion
{
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

    /// <summary>Host address of the first byte.</summary>
    internal byte* Host { get; }
}
