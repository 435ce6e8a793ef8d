using System;
using System.Diagnostics.CodeAnalysis;
using System.IO;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Interop;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>A disk in a plain file or on a block device: sector n lies at byte 512 n.</summary>
/// <remarks>
/// Thread-safe. The file is locked for as long as it is open: one writer or any number of readers, also across processes (an open file
/// description lock), so that no two machines write one disk. Data goes between the file and guest memory without a copy of ours.
/// </remarks>
public sealed class RawFileBackend : SynchronousBlockBackend
{
    private const int SectorSize = 512;

    private readonly DiskFile _file;

    private RawFileBackend(string path, DiskFile file, long length, bool readOnly)
    {
        Path = path;
        _file = file;
        Length = length;
        IsReadOnly = readOnly;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <inheritdoc/>
    public override long Length { get; }

    /// <inheritdoc/>
    public override bool IsReadOnly { get; }

    /// <summary>Opens and locks a disk.</summary>
    /// <param name="path">A file or a block device, of a multiple of 512 bytes and not empty.</param>
    /// <param name="readOnly">Open it for reading only, shared with other readers.</param>
    /// <exception cref="BackendException">It cannot be opened, is in use, or has an impossible size; the message says what to do.</exception>
    public static RawFileBackend Open(string path, bool readOnly)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
        {
            throw new BackendException("open", path, 0, "is a directory; a disk is a file or a block device");
        }

        int error = DiskFile.Open(path, readOnly, out DiskFile? file);
        if (file is null)
        {
            throw new BackendException("open", path, error, error switch
            {
                Errno.ENOENT => "does not exist; make it first, for example with truncate -s 1G",
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

            return new RawFileBackend(path, file, length, readOnly);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override BlockStatus Read(long offset, GuestBuffers destination) => ToStatus(_file.Read(offset, destination));

    /// <inheritdoc/>
    public override BlockStatus Write(long offset, GuestBuffers source) => ToStatus(_file.Write(offset, source));

    /// <inheritdoc/>
    public override BlockStatus Flush() => ToStatus(_file.Flush());

    /// <inheritdoc/>
    public override BlockStatus Discard(long offset, long length)
    {
        int error = _file.PunchHole(offset, length);

        // Where the file system cannot, the hint has been heard all the same.
        return IsUnsupported(error) ? BlockStatus.Ok : ToStatus(error);
    }

    /// <inheritdoc/>
    public override BlockStatus WriteZeroes(long offset, long length, bool mayUnmap)
    {
        int error = mayUnmap ? _file.PunchHole(offset, length) : Errno.EOPNOTSUPP;
        if (IsUnsupported(error))
        {
            error = _file.ZeroRange(offset, length);
        }

        return ToStatus(IsUnsupported(error) ? _file.WriteZeroes(offset, length) : error);
    }

    /// <summary>Closes the file, which ends its lock.</summary>
    /// <param name="disposing">True from <see cref="SynchronousBlockBackend.Dispose()"/>.</param>
    protected override void Dispose(bool disposing)
    {
        _file.Dispose();
        base.Dispose(disposing);
    }

    [SuppressMessage("Style", "IDE0072", Justification = "Every other number is an error.")]
    private static BlockStatus ToStatus(int error) => error == 0 ? BlockStatus.Ok : BlockStatus.IoError;

    private static bool IsUnsupported(int error) => error is Errno.EOPNOTSUPP or Errno.ENOSYS or Errno.EINVAL or Errno.ENODEV;
}
