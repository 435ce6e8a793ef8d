using System;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;

namespace Vmm.Pci.Bars;

/// <summary>A named part of a BAR: either a handler answers it, or host memory lies there.</summary>
public sealed class PciBarRegion
{
    private PciBarRegion(IRegionHandler access, string name, ulong offset, ulong length)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (length == 0 || length - 1 > ulong.MaxValue - offset)
        {
            throw new ArgumentException($"region {name}: 0x{length:x} bytes at 0x{offset:x} are no range", nameof(length));
        }

        Name = name;
        Offset = offset;
        Length = length;
        Access = access;
    }

    /// <summary>A region that a handler answers.</summary>
    /// <param name="name">For logs and counters, for example <c>common</c>.</param>
    /// <param name="offset">Offset in the BAR, in bytes.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="handler">Answers; its offsets start at the region.</param>
    public PciBarRegion(string name, ulong offset, ulong length, IRegionHandler handler)
        : this(handler ?? throw new ArgumentNullException(nameof(handler)), name, offset, length)
    {
        Handler = handler;
    }

    /// <summary>A region of host memory: its whole pages are mapped into the guest.</summary>
    /// <param name="name">For logs and counters.</param>
    /// <param name="offset">Offset in the BAR, in bytes.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="memory">The mapping; it must outlive the function's stay on a bus.</param>
    /// <param name="memoryOffset">Where in the mapping the region starts.</param>
    /// <param name="readOnly">Guest writes are dropped.</param>
    public PciBarRegion(string name, ulong offset, ulong length, HostMemory memory, ulong memoryOffset = 0, bool readOnly = false)
        : this(HandlerOver(name, length, memory, memoryOffset, readOnly), name, offset, length)
    {
        Memory = memory;
        MemoryOffset = memoryOffset;
        ReadOnly = readOnly;
    }

    /// <summary>
    /// A region of a device's memory: whole pages are mapped into the guest, and where they are not the device is reached by a handler and never
    /// through the mapping.
    /// </summary>
    /// <param name="name">For logs and counters.</param>
    /// <param name="offset">Offset in the BAR, in bytes.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="memory">The mapping; it must outlive the function's stay on a bus.</param>
    /// <param name="memoryOffset">Where in the mapping the region starts.</param>
    /// <param name="readOnly">Guest writes to mapped pages are dropped.</param>
    /// <param name="access">Answers where no page is mapped; its offsets start at the region.</param>
    public PciBarRegion(string name, ulong offset, ulong length, HostMemory memory, ulong memoryOffset, bool readOnly, IRegionHandler access)
        : this(name, offset, length, memory, memoryOffset, readOnly)
    {
        ArgumentNullException.ThrowIfNull(access);
        Access = access;
        HasOwnAccess = true;
    }

    /// <summary>For logs and counters.</summary>
    public string Name { get; }

    /// <summary>Offset in the BAR, in bytes.</summary>
    public ulong Offset { get; }

    /// <summary>Bytes, at least 1.</summary>
    public ulong Length { get; }

    /// <summary>What answers, or null for host memory.</summary>
    public IRegionHandler? Handler { get; }

    /// <summary>The host memory that lies here, or null.</summary>
    public HostMemory? Memory { get; }

    /// <summary>Start of the region in <see cref="Memory"/>.</summary>
    public ulong MemoryOffset { get; }

    /// <summary>True if guest writes to <see cref="Memory"/> are dropped.</summary>
    public bool ReadOnly { get; }

    /// <summary>
    /// True if the handler may wait for something outside this process (<see cref="Claim.IsBlocking"/>): only its own vCPU and the removal of its
    /// function from the bus wait for an access then. A guest that moves the BAR or turns decoding off waits for no access in flight.
    /// </summary>
    public bool IsBlocking { get; init; }

    /// <summary>Reaches the region's bytes without an address: the handler, or one over the host memory.</summary>
    internal IRegionHandler Access { get; }

    /// <summary>True if <see cref="Access"/> answers what is not mapped of <see cref="Memory"/>.</summary>
    internal bool HasOwnAccess { get; }

    internal ulong Last => Offset + (Length - 1);

    private static HostMemoryHandler HandlerOver(string name, ulong length, HostMemory memory, ulong memoryOffset, bool readOnly)
    {
        ArgumentNullException.ThrowIfNull(memory);
        if (memoryOffset > memory.Length || length > memory.Length - memoryOffset)
        {
            throw new ArgumentException(
                $"region {name}: 0x{length:x} bytes at 0x{memoryOffset:x} do not lie inside the mapping", nameof(memoryOffset));
        }

        return new HostMemoryHandler(memory, memoryOffset, readOnly);
    }
}
