using System;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Memory;

namespace Vmm.Pci.Access;

/// <summary>A part of somebody's host memory, mapped for a device at an address that an <see cref="IovaSpace"/> gave out.</summary>
/// <remarks>The memory stays whose it is. If it is disposed first, its pages stay until the mapping is disposed.</remarks>
public sealed class DmaMapping : IDmaMapping
{
    private readonly IDmaMapper _mapper;
    private readonly IovaSpace _iovas;
    private readonly HostMemory _memory;
    private readonly ulong _offset;
    private int _disposed;

    /// <summary>Takes an address and maps the memory there.</summary>
    /// <param name="mapper">Where the device masters memory.</param>
    /// <param name="iovas">Gives the address.</param>
    /// <param name="memory">The memory.</param>
    /// <param name="offset">First byte to be mapped, by offset in the memory: whole pages of the mapper.</param>
    /// <param name="length">Bytes, at least 1: whole pages of the mapper.</param>
    /// <param name="writable">Whether the device may write.</param>
    /// <exception cref="ArgumentException">
    /// That is no range of whole pages of the memory, or the memory is read-only and the mapping is not.
    /// </exception>
    /// <exception cref="IovaExhaustedException">No address is left for it.</exception>
    /// <exception cref="DmaMappingLimitException">The kernel allows no more mappings.</exception>
    /// <exception cref="HostException">The memory cannot be pinned or mapped.</exception>
    public DmaMapping(IDmaMapper mapper, IovaSpace iovas, HostMemory memory, ulong offset, ulong length, bool writable = true)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        ArgumentNullException.ThrowIfNull(iovas);
        ArgumentNullException.ThrowIfNull(memory);
        if (length == 0 || !GuestRange.Fits(offset, length, memory.Length) || ((offset | length) & (mapper.Granularity - 1)) != 0)
        {
            throw new ArgumentException(
                $"0x{length:x} bytes at 0x{offset:x} are not whole pages of 0x{mapper.Granularity:x} bytes in memory of 0x{memory.Length:x}");
        }

        memory.RequireWritable(writable);
        (_mapper, _iovas, _memory, _offset, Length) = (mapper, iovas, memory, offset, length);
        Iova = iovas.Allocate(length);
        memory.Hold();
        try
        {
            mapper.Map(Iova, memory, offset, length, writable);
        }
        catch
        {
            memory.Release();
            iovas.Free(Iova);
            throw;
        }
    }

    /// <inheritdoc/>
    public ulong Iova { get; }

    /// <inheritdoc/>
    public ulong Length { get; }

    /// <inheritdoc/>
    public bool TryTranslate(ReadOnlySpan<byte> part, out ulong iova)
    {
        bool isInside = _memory.TryFind(part, out ulong offset)
            && offset >= _offset
            && GuestRange.Fits(offset - _offset, (ulong)part.Length, Length);
        iova = isInside ? Iova + (offset - _offset) : 0;
        return isInside;
    }

    /// <summary>Unmaps, which waits for accesses in flight.</summary>
    /// <exception cref="HostException">The mapping cannot be taken away; the pages stay, since the device may still write there.</exception>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _mapper.Unmap(Iova, Length);
            _iovas.Free(Iova);
            _memory.Release();
        }
    }
}
