using System;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Memory;

namespace Vmm.Pci.Access;

/// <summary>Zeroed host memory of our own, mapped for a device at an address that an <see cref="IovaSpace"/> gave out.</summary>
public sealed class DmaBuffer : IDmaBuffer
{
    private readonly IDmaMapper _mapper;
    private readonly IovaSpace _iovas;
    private readonly HostMemory _memory;
    private readonly int _length;
    private int _disposed;

    /// <summary>Takes memory and an address, and maps them.</summary>
    /// <param name="mapper">Where the device masters memory.</param>
    /// <param name="iovas">Gives the address.</param>
    /// <param name="length">Bytes, at least 1.</param>
    /// <exception cref="IovaExhaustedException">No address is left for it.</exception>
    /// <exception cref="HostException">The memory cannot be had, pinned or mapped.</exception>
    public DmaBuffer(IDmaMapper mapper, IovaSpace iovas, int length)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        ArgumentNullException.ThrowIfNull(iovas);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        (_mapper, _iovas, _length) = (mapper, iovas, length);
        _memory = HostMemory.AllocateAnonymous((ulong)length);
        bool allocated = false;
        try
        {
            Iova = iovas.Allocate(_memory.Length);
            allocated = true;
            mapper.Map(Iova, _memory, 0, _memory.Length);
        }
        catch
        {
            if (allocated)
            {
                iovas.Free(Iova);
            }

            _memory.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public ulong Iova { get; }

    /// <inheritdoc/>
    public Span<byte> Span => _memory.GetSpan(_length);

    /// <summary>Unmaps, which waits for accesses in flight, and then frees.</summary>
    /// <exception cref="HostException">The mapping cannot be taken away; the memory stays, since the device may still write there.</exception>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _mapper.Unmap(Iova, _memory.Length);
            _iovas.Free(Iova);
            _memory.Dispose();
        }
    }
}
