using System;
using System.IO;
using System.Threading;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Devices;

namespace Vmm.Virtio.Disks;

/// <summary>A disk in a plain file or on a block device: sector n lies at byte 512 n.</summary>
/// <remarks>
/// <para>
/// Thread-safe. The file is locked for as long as it is open: one writer or any number of readers, also across processes (an open file
/// description lock), so that no two machines write one disk. Data goes between the file and guest memory without a copy of ours, but where O_DIRECT
/// does not take that memory as it is aligned.
/// </para>
/// <para>
/// Requests of a queue go through an io_uring of its own where the kernel has it (5.6) and nobody has switched it off; otherwise, and where the
/// kernel is out of memory for it, through threads of the back-end, 64 at most. Either way as many are in flight as the queue has, or the threads
/// are.
/// </para>
/// </remarks>
public sealed class RawFileBackend : IBlockBackend
{
    /// <summary>Threads that wait for the file at most, ours or the kernel's of a queue.</summary>
    internal const int ThreadLimit = 64;

    private const int SectorSize = 512;
    private const int LargestBlock = 4096;

    private readonly DiskFile _file;
    private readonly DiskThreads _threads;
    private readonly bool _usesIoUring;
    private long _length;

    private RawFileBackend(string path, DiskFile file, long length, bool readOnly, bool usesIoUring)
    {
        Path = path;
        _file = file;
        _usesIoUring = usesIoUring;
        _threads = new DiskThreads(Perform, ThreadLimit, file.IsDirect);
        _length = length;
        IsReadOnly = readOnly;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <inheritdoc/>
    public long Length => Volatile.Read(ref _length);

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    /// <summary>512; with O_DIRECT, what the file system or the device asks for.</summary>
    public int BlockSize => _file.BlockSize;

    /// <summary>Whether requests bypass the host's page cache.</summary>
    public bool IsDirect => _file.IsDirect;

    /// <summary>Opens and locks a disk.</summary>
    /// <param name="path">A file or a block device, of a multiple of 512 bytes and not empty.</param>
    /// <param name="readOnly">Open it for reading only, shared with other readers.</param>
    /// <param name="direct">Bypass the host's page cache (O_DIRECT).</param>
    /// <param name="disableIoUring">Use threads even where the kernel has io_uring.</param>
    /// <exception cref="BackendException">It cannot be opened, is in use, or has an impossible size; the message says what to do.</exception>
    public static RawFileBackend Open(string path, bool readOnly, bool direct = false, bool disableIoUring = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
        {
            throw new BackendException("open", path, 0, "is a directory; a disk is a file or a block device");
        }

        int error = DiskFile.Open(path, readOnly, direct, out DiskFile? file);
        if (file is null)
        {
            throw new BackendException("open", path, error, error switch
            {
                Errno.ENOENT => "does not exist; make it first, for example with truncate -s 1G",
                Errno.EINVAL when direct => "has no O_DIRECT on this file system; leave out direct=on",
                Errno.EACCES or Errno.EPERM when !readOnly => "may not be opened for writing; give the right to, or use readonly=on",
                _ => $"cannot be opened for {(readOnly ? "reading" : "reading and writing; readonly=on opens it for reading only")}",
            });
        }

        try
        {
            error = file.TryLock(!readOnly);
            if (error is Errno.EAGAIN or Errno.EACCES)
            {
                throw new BackendException("lock", path, 0, readOnly
                    ? "is open for writing as another disk, here or in another process; close that one first"
                    : "is in use as another disk, here or in another process; close that one, or open both with readonly=on");
            }

            if (error != 0)
            {
                throw new BackendException("lock", path, error, "cannot be locked; its file system must support locks");
            }

            error = file.GetLength(out long length);
            if (error != 0)
            {
                throw new BackendException("lseek", path, error, "has no size; a disk is a file or a block device");
            }

            if (length == 0 || length % SectorSize != 0)
            {
                long next = (length / SectorSize * SectorSize) + SectorSize;
                throw new BackendException("size", path, 0, length == 0
                    ? "is empty; a disk has at least one sector of 512 bytes: extend it, for example with truncate -s 1G"
                    : $"has {length} bytes, which is not a multiple of the sector size of 512; extend it, for example with truncate -s {next}");
            }

            if (file.BlockSize > LargestBlock)
            {
                throw new BackendException(
                    "statx", path, 0, $"needs blocks of {file.BlockSize} bytes for O_DIRECT, more than {LargestBlock}; leave out direct=on");
            }

            if (length % file.BlockSize != 0)
            {
                throw new BackendException(
                    "size", path, 0, $"has {length} bytes, not a multiple of the {file.BlockSize} that O_DIRECT needs here; leave out direct=on");
            }

            return new RawFileBackend(path, file, length, readOnly, !disableIoUring);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Makes the file so long. What it grows by is a hole of zeroes; what is cut off is gone. A block device stays as it is: its length is read anew,
    /// and has to be the one that is asked for.
    /// </summary>
    /// <param name="length">Bytes, a multiple of <see cref="BlockSize"/> and at least that.</param>
    /// <exception cref="ArgumentException">A disk cannot have so many bytes.</exception>
    /// <exception cref="BackendException">The file is open for reading only, or the host refuses; nothing has changed.</exception>
    public void Resize(long length)
    {
        if (length <= 0 || length % BlockSize != 0)
        {
            throw new ArgumentException($"a disk has a multiple of {BlockSize} bytes here, and not {length}", nameof(length));
        }

        if (IsReadOnly)
        {
            throw new BackendException("ftruncate", Path, 0, "is open for reading only, and is not resized");
        }

        if (_file.IsBlockDevice)
        {
            int error = _file.GetLength(out long now);
            if (error != 0)
            {
                throw new BackendException("lseek", Path, error, "has no size any more");
            }

            if (now != length)
            {
                throw new BackendException("resize", Path, 0, $"is a block device of {now} bytes; resize it on the host first");
            }
        }
        else
        {
            int error = _file.SetLength(length);
            if (error != 0)
            {
                throw new BackendException("ftruncate", Path, error, $"cannot be made {length} bytes long");
            }
        }

        Volatile.Write(ref _length, length);
    }

    /// <inheritdoc/>
    public IBlockQueue? OpenQueue(int size) =>
        _usesIoUring && DiskRing.TryCreate(_file, size, _threads.Submit, out DiskRing? ring) == 0 ? ring : null;

    /// <summary>Has a thread do a request; a read that is cached is done at once.</summary>
    /// <param name="request">The request.</param>
    public void Submit(BlockRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        bool isCached = request.Operation == BlockOperation.Read && _file.KnowsCached
            && _file.ReadCached(request.Offset, request.Buffers) == request.Length;
        if (isCached)
        {
            request.Complete(BlockStatus.Ok);
        }
        else if (_file.MovesAtOnce(request))
        {
            Perform(request, null);
        }
        else
        {
            _threads.Submit(request);
        }
    }

    /// <summary>Closes the file, which ends its lock.</summary>
    public void Dispose()
    {
        _threads.Dispose();
        _file.Dispose();
    }

    /// <summary>A disk over a descriptor that is open, for tests of what a file does not do.</summary>
    internal static RawFileBackend Over(FileDescriptor descriptor, long length, bool disableIoUring = false) =>
        new("descriptor", DiskFile.Over(descriptor), length, readOnly: false, !disableIoUring);

    /// <summary>Whether an error number says that the file system does not know an operation.</summary>
    internal static bool IsUnsupported(int error) => error is Errno.EOPNOTSUPP or Errno.ENOSYS or Errno.EINVAL or Errno.ENODEV;

    private void Perform(BlockRequest request, BounceMemory? bounce)
    {
        int error = request.Operation switch
        {
            BlockOperation.Read => _file.Move(isWrite: false, request.Offset, request.Buffers, bounce),
            BlockOperation.Write => _file.Move(isWrite: true, request.Offset, request.Buffers, bounce),
            BlockOperation.Discard => Discard(request.Offset, request.Length),
            BlockOperation.WriteZeroes => WriteZeroes(request),
            _ => _file.Flush(),
        };
        request.Complete(error == 0 ? BlockStatus.Ok : BlockStatus.IoError);
    }

    private int Discard(long offset, long length)
    {
        int error = _file.Allocate(Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, offset, length);

        // Where the file system cannot, the hint has been heard all the same.
        return IsUnsupported(error) ? 0 : error;
    }

    private int WriteZeroes(BlockRequest request)
    {
        int error = request.MayUnmap
            ? _file.Allocate(Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, request.Offset, request.Length)
            : Errno.EOPNOTSUPP;
        if (IsUnsupported(error))
        {
            error = _file.Allocate(Libc.FALLOC_FL_ZERO_RANGE | Libc.FALLOC_FL_KEEP_SIZE, request.Offset, request.Length);
        }

        return IsUnsupported(error) ? _file.WriteZeroes(request.Offset, request.Length) : error;
    }
}
