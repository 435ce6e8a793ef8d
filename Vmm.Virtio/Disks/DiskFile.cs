using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Disks;

/// <summary>A file or block device as positions and guest buffers; every method gives 0 or an error number.</summary>
/// <remarks>
/// Thread-safe, but for the <see cref="BounceMemory"/> that a caller brings. Opened with O_DIRECT, offsets and lengths are to be multiples of
/// <see cref="BlockSize"/>, and memory that is not aligned goes through that.
/// </remarks>
internal sealed unsafe class DiskFile : IDisposable
{
    /// <summary>IOV_MAX of Linux.</summary>
    public const int VectorsAtOnce = 1024;

    /// <summary>Bytes of <see cref="Zeroes"/>.</summary>
    public const int ZeroesLength = 64 << 10;

    private const int SectorSize = 512;
    private const int PageSize = 4096;

    /// <summary>Zeroes to write, aligned for O_DIRECT; for as long as the process lives.</summary>
    public static readonly byte* Zeroes = AllocateZeroes();

    // Longer ones would keep what comes after them waiting.
    private const int MovedAtOnce = 1 << 20;

    private readonly FileDescriptor _descriptor;
    private volatile bool _knowsCached;

    private DiskFile(FileDescriptor descriptor, bool isDirect)
    {
        _descriptor = descriptor;
        IsDirect = isDirect;
        _knowsCached = !isDirect;
    }

    /// <summary>The descriptor's number, valid until disposal.</summary>
    public int Number => _descriptor.Number;

    /// <summary>True if it bypasses the host's page cache.</summary>
    public bool IsDirect { get; }

    /// <summary>True if its file system keeps everything in memory, so that nothing waits for storage (nor can it be asked not to).</summary>
    public bool IsInMemory { get; private set; }

    /// <summary>True if it is a block device, whose length is the host's business.</summary>
    public bool IsBlockDevice { get; private set; }

    /// <summary>True if <see cref="ReadCached"/> may give something; false once the file system did not know the question.</summary>
    public bool KnowsCached { get => _knowsCached; private set => _knowsCached = value; }

    /// <summary>Bytes that offsets and lengths are to be multiples of.</summary>
    public int BlockSize { get; private set; } = SectorSize;

    /// <summary>Bytes that addresses are to be multiples of, a power of two; 1 for any.</summary>
    public int MemoryAlignment { get; private set; } = 1;

    /// <summary>Opens a file.</summary>
    public static int Open(string path, bool readOnly, bool direct, out DiskFile? file)
    {
        // Without O_NONBLOCK a FIFO would wait for its other end. Afterwards io_uring would take it to mean that a read is to fail rather than wait.
        int flags = (readOnly ? Libc.O_RDONLY : Libc.O_RDWR) | Libc.O_NONBLOCK | (direct ? Libc.O_DIRECT : 0);
        file = null;
        int error = DescriptorIo.Open(path, flags, out FileDescriptor descriptor);
        if (error == 0 && Libc.fcntl(descriptor.Number, Libc.F_SETFL, flags & ~Libc.O_NONBLOCK) < 0)
        {
            error = Marshal.GetLastPInvokeError();
            descriptor.Dispose();
        }

        if (error == 0)
        {
            file = Over(descriptor, direct);
        }

        return error;
    }

    /// <summary>Takes over an open descriptor.</summary>
    public static DiskFile Over(FileDescriptor descriptor, bool direct = false)
    {
        var file = new DiskFile(descriptor, direct);
        ushort type = TypeOf(descriptor);
        file.IsBlockDevice = type == Libc.S_IFBLK;

        // The node of a block device lies in memory as well, where /dev is; its blocks do not.
        file.IsInMemory = type == Libc.S_IFREG && LiesInMemory(descriptor);
        if (direct)
        {
            file.FindAlignment();
        }

        return file;
    }

    private static ushort TypeOf(FileDescriptor descriptor)
    {
        Libc.statx_buffer status;
        bool known = Libc.statx(descriptor.Number, "", Libc.AT_EMPTY_PATH, Libc.STATX_TYPE, &status) == 0;
        return known ? (ushort)(status.stx_mode & Libc.S_IFMT) : (ushort)0;
    }

    private static bool LiesInMemory(FileDescriptor descriptor)
    {
        Libc.statfs_buffer system;
        return Libc.fstatfs(descriptor, &system) == 0 && (system.f_type is Libc.TMPFS_MAGIC or Libc.RAMFS_MAGIC);
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

    /// <summary>Makes a file longer, by a hole, or cuts it.</summary>
    public int SetLength(long length)
    {
        int error;
        do
        {
            error = Libc.ErrorOf(Libc.ftruncate(_descriptor, length));
        }
        while (error == Errno.EINTR);
        return error;
    }

    /// <summary>
    /// Whether a request is best done by whoever has it: a short one to a file in memory, where the way to a thread and back takes longer.
    /// </summary>
    public bool MovesAtOnce(BlockRequest request) =>
        IsInMemory && (request.Operation is BlockOperation.Read or BlockOperation.Write) && request.Length <= MovedAtOnce;

    /// <summary>Whether O_DIRECT takes memory as it is.</summary>
    public bool IsAligned(ReadOnlySpan<MemoryPiece> pieces)
    {
        if (!IsDirect)
        {
            return true;
        }

        nuint bits = 0;
        foreach (MemoryPiece piece in pieces)
        {
            bits |= ((nuint)piece.Address & (nuint)(MemoryAlignment - 1)) | (piece.Length & (nuint)(BlockSize - 1));
        }

        return bits == 0;
    }

    /// <summary>Reads as much as is cached, in one call that does not wait for storage.</summary>
    /// <returns>Bytes read, 0 if the first is not cached, or nobody can say.</returns>
    [SkipLocalsInit]
    public long ReadCached(long offset, GuestBuffers destination)
    {
        MemoryPiece* vectors = stackalloc MemoryPiece[VectorsAtOnce];
        int count = destination.GetPieces(new Span<MemoryPiece>(vectors, VectorsAtOnce), out _);
        nint done = Libc.preadv2(_descriptor, vectors, count, offset, Libc.RWF_NOWAIT);
        if (done < 0 && Marshal.GetLastPInvokeError() is Errno.EOPNOTSUPP or Errno.EINVAL or Errno.ENOSYS)
        {
            KnowsCached = false;
        }

        return Math.Max(0, done);
    }

    /// <summary>Reads or writes all of a run, and waits for it.</summary>
    /// <param name="isWrite">Write the buffers, or fill them.</param>
    /// <param name="offset">First byte in the file.</param>
    /// <param name="buffers">The run.</param>
    /// <param name="bounce">The caller's own, with a free slot; null where nothing needs it.</param>
    [SkipLocalsInit]
    public int Move(bool isWrite, long offset, GuestBuffers buffers, BounceMemory? bounce)
    {
        MemoryPiece* vectors = stackalloc MemoryPiece[VectorsAtOnce];
        while (!buffers.IsEmpty)
        {
            int count = buffers.GetPieces(new Span<MemoryPiece>(vectors, VectorsAtOnce), out _);
            int slot = -1;
            if (bounce is not null && !IsAligned(new ReadOnlySpan<MemoryPiece>(vectors, count)))
            {
                slot = bounce.Take();
                *vectors = new MemoryPiece((nint)bounce.AddressOf(slot), (nuint)Math.Min(buffers.Length, BounceMemory.SlotLength));
                count = 1;
                if (isWrite)
                {
                    buffers.CopyTo(bounce[slot]);
                }
            }

            nint done = isWrite ? Libc.pwritev(_descriptor, vectors, count, offset) : Libc.preadv(_descriptor, vectors, count, offset);
            int error = Libc.ErrorOf(done);
            if (slot >= 0)
            {
                if (!isWrite && done > 0)
                {
                    buffers.CopyFrom(bounce![slot][..(int)done]);
                }

                bounce!.Give(slot);
            }

            if (done == 0)
            {
                // The file has become shorter under us, or takes nothing and says no reason: tried again, it might go on for ever.
                return Errno.EIO;
            }

            if (error is not 0 and not Errno.EINTR)
            {
                return error;
            }

            offset += Math.Max(0, done);
            buffers = buffers.Slice(Math.Max(0, done));
        }

        return 0;
    }

    public int Flush()
    {
        int error;
        do
        {
            error = Libc.ErrorOf(Libc.fdatasync(_descriptor));
        }
        while (error == Errno.EINTR);
        return error;
    }

    /// <summary>Gives a range's storage back, or makes it zeroes that have storage.</summary>
    /// <param name="mode">FALLOC_FL_ bits.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Bytes.</param>
    public int Allocate(int mode, long offset, long length)
    {
        int error;
        do
        {
            error = Libc.ErrorOf(Libc.fallocate(_descriptor, mode, offset, length));
        }
        while (error == Errno.EINTR);
        return error;
    }

    /// <summary>Writes zeroes, for file systems that know no better.</summary>
    public int WriteZeroes(long offset, long length)
    {
        while (length > 0)
        {
            nint done = Libc.pwrite(_descriptor, Zeroes, (nuint)Math.Min(ZeroesLength, length), offset);
            int error = Libc.ErrorOf(done);
            if (done == 0 || error is not 0 and not Errno.EINTR)
            {
                return done == 0 ? Errno.EIO : error;
            }

            offset += Math.Max(0, done);
            length -= Math.Max(0, done);
        }

        return 0;
    }

    public void Dispose() => _descriptor.Dispose();

    private static byte* AllocateZeroes()
    {
        byte* start = (byte*)NativeMemory.AlignedAlloc(ZeroesLength, PageSize);
        NativeMemory.Clear(start, ZeroesLength);
        return start;
    }

    /// <summary>
    /// Finds the block size of O_DIRECT and the alignment of its memory, in bytes: as the kernel says (6.1), or as reads that are tried show.
    /// </summary>
    private void FindAlignment()
    {
        Libc.statx_buffer status;
        if (Libc.statx(Number, "", Libc.AT_EMPTY_PATH, Libc.STATX_DIOALIGN, &status) == 0
            && (status.stx_mask & Libc.STATX_DIOALIGN) != 0 && status.stx_dio_offset_align != 0)
        {
            BlockSize = Math.Max(SectorSize, (int)status.stx_dio_offset_align);
            MemoryAlignment = Math.Max(1, (int)status.stx_dio_mem_align);
            return;
        }

        using var bounce = new BounceMemory(1);
        BlockSize = Libc.pread(_descriptor, bounce.AddressOf(0), SectorSize, 0) < 0 ? PageSize : SectorSize;
        MemoryAlignment = BlockSize;
    }
}
