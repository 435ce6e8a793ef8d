using System;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Memory;

namespace Vmm.Pci.Access;

/// <summary>Zeroed host memory of our own, mapped for a device at an address that an <see cref="IovaSpace"/> gave out.</summary>
public sealed class DmaBuffer : IDmaBuffer
{
    private readonly HostMemory _memory;
    private readonly DmaMapping _mapping;
    private readonly int _length;
    private int _disposed;

    /// <summary>Takes memory and an address, and maps them.</summary>
    /// <param name="mapper">Where the device masters memory.</param>
    /// <param name="iovas">Gives the address.</param>
    /// <param name="length">Bytes, at least 1.</param>
    /// <exception cref="IovaExhaustedException">No address is left for it.</exception>
    /// <exception cref="DmaMappingLimitException">The kernel allows no more mappings.</exception>
    /// <exception cref="HostException">The memory cannot be had, pinned or mapped.</exception>
    public DmaBuffer(IDmaMapper mapper, IovaSpace iovas, int length)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        ArgumentNullException.ThrowIfNull(iovas);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        _length = length;
        ulong unit = mapper.Granularity;
        _memory = HostMemory.AllocateAnonymous(((ulong)length + unit - 1) & ~(unit - 1));
        try
        {
            _mapping = new DmaMapping(mapper, iovas, _memory, 0, _memory.Length);
        }
        catch
        {
            _memory.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public ulong Iova => _mapping.Iova;

    /// <inheritdoc/>
    public Span<byte> Span => _memory.GetSpan(_length);

    /// <summary>Unmaps, which waits for accesses in flight, and then frees.</summary>
    /// <exception cref="HostException">The mapping cannot be taken away; the memory stays, since the device may still write there.</exception>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _mapping.Dispose();
            _memory.Dispose();
        }
    }
}
