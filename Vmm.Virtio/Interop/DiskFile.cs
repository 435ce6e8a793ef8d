using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Interop;

/// <summary>A file or block device as positions and guest buffers; every method gives 0 or an error number.</summary>
internal sealed unsafe class DiskFile : IDisposable
{
    private const int VectorsAtOnce = 256;

    private static readonly byte[] Zeroes = new byte[1 << 16];

    private readonly FileDescriptor _descriptor;

    private DiskFile(FileDescriptor descriptor)
    {
        _descriptor = descriptor;
    }

    /// <summary>Opens a file; without O_NONBLOCK a FIFO would wait for its other end.</summary>
    public static int Open(string path, bool readOnly, out DiskFile? file)
    {
        int error = DescriptorIo.Open(path, (readOnly ? Libc.O_RDONLY : Libc.O_RDWR) | Libc.O_NONBLOCK, out FileDescriptor descriptor);
        file = error == 0 ? new DiskFile(descriptor) : null;
        return error;
    }

    /// <summary>Takes a lock of the whole file that belongs to this open: shared for readers, exclusive for a writer.</summary>
    public int TryLock(bool exclusive)
    {
        var request = new Libc.flock { l_type = exclusive ? Libc.F_WRLCK : Libc.F_RDLCK };
        return Libc.fcntl(_descriptor.Number, Libc.F_OFD_SETLK, (nint)(&request)) < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>The size in bytes, of a file or a block device.</summary>
    public int GetLength(out long length)
    {
        length = Libc.lseek(_descriptor, 0, Libc.SEEK_END);
        return length < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    [SkipLocalsInit]
    public int Read(long offset, GuestBuffers destination)
    {
        MemoryPiece* vectors = stackalloc MemoryPiece[VectorsAtOnce];
        while (!destination.IsEmpty)
        {
            int count = destination.GetPieces(new Span<MemoryPiece>(vectors, VectorsAtOnce), out _);
            nint done = Libc.preadv(_descriptor, vectors, count, offset);
            if (!Advance(done, ref offset, ref destination, out int error))
            {
                return error;
            }
        }

        return 0;
    }

    [SkipLocalsInit]
    public int Write(long offset, GuestBuffers source)
    {
        MemoryPiece* vectors = stackalloc MemoryPiece[VectorsAtOnce];
        while (!source.IsEmpty)
        {
            int count = source.GetPieces(new Span<MemoryPiece>(vectors, VectorsAtOnce), out _);
            nint done = Libc.pwritev(_descriptor, vectors, count, offset);
            if (!Advance(done, ref offset, ref source, out int error))
            {
                return error;
            }
        }

        return 0;
    }

    public int Flush()
    {
        int error;
        do
        {
            error = Libc.fdatasync(_descriptor) < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (error == Errno.EINTR);
        return error;
    }

    /// <summary>Gives storage back; the range reads as zeroes.</summary>
    public int PunchHole(long offset, long length)
    {
        return Allocate(Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, offset, length);
    }

    /// <summary>Makes a range read as zeroes without giving its storage back.</summary>
    public int ZeroRange(long offset, long length)
    {
        return Allocate(Libc.FALLOC_FL_ZERO_RANGE | Libc.FALLOC_FL_KEEP_SIZE, offset, length);
    }

    /// <summary>Writes zeroes, for file systems that know no better.</summary>
    public int WriteZeroes(long offset, long length)
    {
        fixed (byte* start = Zeroes)
        {
            while (length > 0)
            {
                nint done = Libc.pwrite(_descriptor, start, (nuint)Math.Min(Zeroes.Length, length), offset);
                int error = done < 0 ? Marshal.GetLastPInvokeError() : 0;
                if (done == 0 || (done < 0 && error != Errno.EINTR))
                {
                    // Nothing written and no reason given: tried again, it might go on for ever.
                    return done == 0 ? Errno.EIO : error;
                }

                offset += Math.Max(0, done);
                length -= Math.Max(0, done);
            }
        }

        return 0;
    }

    public void Dispose() => _descriptor.Dispose();

    private static bool Advance(nint done, ref long offset, ref GuestBuffers buffers, out int error)
    {
        error = 0;
        if (done < 0)
        {
            error = Marshal.GetLastPInvokeError();
            return error == Errno.EINTR;
        }

        if (done == 0)
        {
            // The file has become shorter under us.
            error = Errno.EIO;
            return false;
        }

        offset += done;
        buffers = buffers.Slice(done);
        return true;
    }

    private int Allocate(int mode, long offset, long length)
    {
        int error;
        do
        {
            error = Libc.fallocate(_descriptor, mode, offset, length) < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (error == Errno.EINTR);
        return error;
    }
}
