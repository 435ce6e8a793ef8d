using System;
using System.Threading;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Driver;

namespace Vmm.Testing.Memory;

/// <summary>Host memory of our own that a function of our own finds at an address of guest memory.</summary>
internal sealed unsafe class HostDmaBuffer : IDmaBuffer
{
    private readonly GuestMemory _guest;
    private readonly IovaSpace _space;
    private readonly HostMemory _memory;
    private readonly GuestMemoryRegion _region;
    private readonly int _length;
    private int _disposed;

    public HostDmaBuffer(GuestMemory guest, IovaSpace space, int length)
    {
        (_guest, _space, _length) = (guest, space, length);
        _memory = HostMemory.AllocateAnonymous((ulong)length);
        try
        {
            Iova = space.Allocate((ulong)length);
        }
        catch
        {
            _memory.Dispose();
            throw;
        }

        _region = guest.Add(Iova, _memory, 0, _memory.Length);
    }

    public ulong Iova { get; }

    public Span<byte> Span => new(_memory.Pointer, _length);

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            // Removal waits for accesses in flight; only then may the memory go.
            _guest.Remove(_region);
            _space.Free(Iova);
            _memory.Dispose();
        }
    }
}
