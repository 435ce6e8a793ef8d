using System;
using System.Runtime.CompilerServices;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Interop;

/// <summary>Moves bytes or packets between descriptors and guest buffers. EINTR is handled here; every method gives 0 or an error number.</summary>
internal static unsafe class VectorIo
{
    // IOV_MAX of Linux.
    private const int VectorsAtOnce = 1024;

    /// <summary>One readv: a packet, or what a stream has.</summary>
    [SkipLocalsInit]
    public static int Receive(FileDescriptor descriptor, GuestBuffers destination, out int received)
    {
        MemoryPiece* vectors = stackalloc MemoryPiece[VectorsAtOnce];
        int count = destination.GetPieces(new Span<MemoryPiece>(vectors, VectorsAtOnce), out _);
        nint done;
        do
        {
            done = Libc.readv(descriptor, vectors, count);
        }
        while (Libc.WasInterrupted(done));
        received = (int)Math.Max(0, done);
        return Libc.ErrorOf(done);
    }

    /// <summary>One writev: a packet. A packet in more pieces than the kernel takes is EINVAL.</summary>
    [SkipLocalsInit]
    public static int Send(FileDescriptor descriptor, GuestBuffers source)
    {
        if (source.Count > VectorsAtOnce)
        {
            return Errno.EINVAL;
        }

        MemoryPiece* vectors = stackalloc MemoryPiece[VectorsAtOnce];
        int count = source.GetPieces(new Span<MemoryPiece>(vectors, VectorsAtOnce), out _);
        nint done;
        do
        {
            done = Libc.writev(descriptor, vectors, count);
        }
        while (Libc.WasInterrupted(done));
        return Libc.ErrorOf(done);
    }
}
