using System;
using System.Threading;
using Vmm.DeviceModel.Memory;
using Vmm.Vfio.Backend;
using Vmm.Virtio.Driver;

namespace Vmm.Vfio.Interop;

/// <summary>Host memory of our own, pinned and mapped for a device.</summary>
internal sealed unsafe class PinnedBuffer : IDmaBuffer
{
    private readonly IDmaMapper _mapper;
    private readonly IovaSpace _iovas;
    private readonly HostMemory _memory;
    private readonly int _length;
    private int _disposed;

    public PinnedBuffer(IDmaMapper mapper, IovaSpace iovas, int length)
    {
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

    public ulong Iova { get; }

    public Span<byte> Span => new(_memory.Pointer, _length);

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            // Should it be refused, the exception leaves address and memory taken: the device may still write there.
            _mapper.Unmap(Iova, _memory.Length);
            _iovas.Free(Iova);
            _memory.Dispose();
        }
    }
}
