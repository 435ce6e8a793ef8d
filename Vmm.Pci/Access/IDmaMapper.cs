using System.Collections.Generic;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Memory;

namespace Vmm.Pci.Access;

/// <summary>Host memory that a device reaches, by addresses of an I/O address space of its own.</summary>
/// <remarks>Thread-safe. A mapping pins its host memory: it is unmapped here before the host memory is.</remarks>
public interface IDmaMapper
{
    /// <summary>Addresses that can be mapped now, sorted, not overlapping. Devices that join can make them fewer.</summary>
    IReadOnlyList<GuestRange> ValidRanges { get; }

    /// <summary>Addresses and lengths are multiples of this many bytes: a power of two.</summary>
    ulong Granularity { get; }

    /// <summary>Whether what devices have in their BARs can be mapped too, for other devices to reach it.</summary>
    bool CanMapDevices { get; }

    /// <summary>Mappings that are there now.</summary>
    int Count { get; }

    /// <summary>Maps host memory for devices to read and write; one call, one mapping.</summary>
    /// <param name="iova">First address as the device sees it.</param>
    /// <param name="memory">The host's mapping; the range lies inside this one (VFIO-11).</param>
    /// <param name="offset">Offset of the range in it, in bytes.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="writable">Whether the device may write.</param>
    /// <exception cref="DmaMappingLimitException">The kernel allows no more mappings.</exception>
    /// <exception cref="HostException">Outside the valid ranges, mapped already, not enough locked memory: the message says what to do.</exception>
    void Map(ulong iova, HostMemory memory, ulong offset, ulong length, bool writable = true);

    /// <summary>Unmaps what exactly one <see cref="Map"/> has mapped; when this returns no device reaches it.</summary>
    /// <param name="iova">Its first address.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <exception cref="HostException">Nothing of these limits is mapped.</exception>
    void Unmap(ulong iova, ulong length);
}
