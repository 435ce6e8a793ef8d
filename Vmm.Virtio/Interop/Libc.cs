using System.Runtime.InteropServices;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Interop;

/// <summary>The system calls that back-ends use, with the C library's names. Numbers are those of Linux on x86-64 and arm64.</summary>
internal static unsafe partial class Libc
{
    public const int O_RDONLY = 0;
    public const int O_WRONLY = 1;
    public const int O_RDWR = 2;
    public const int O_CREAT = 0x40;
    public const int O_TRUNC = 0x200;
    public const int O_NONBLOCK = 0x800;
    public const int O_CLOEXEC = 0x80000;

    public const int EPERM = 1;
    public const int EINTR = 4;
    public const int EIO = 5;
    public const int EAGAIN = 11;
    public const int EACCES = 13;
    public const int EBUSY = 16;
    public const int ENODEV = 19;
    public const int EINVAL = 22;
    public const int ENOENT = 2;
    public const int ENOSYS = 38;
    public const int EBADFD = 77;
    public const int EOPNOTSUPP = 95;

    public const int EPOLL_CLOEXEC = 0x80000;
    public const int EPOLL_CTL_ADD = 1;

    public const int SEEK_END = 2;

    public const int F_OFD_SETLK = 37;
    public const short F_RDLCK = 0;
    public const short F_WRLCK = 1;

    public const int FALLOC_FL_KEEP_SIZE = 1;
    public const int FALLOC_FL_PUNCH_HOLE = 2;
    public const int FALLOC_FL_ZERO_RANGE = 16;

    public const int AF_INET = 2;
    public const int SOCK_DGRAM = 2;
    public const int SOCK_CLOEXEC = 0x80000;

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int open(string path, int flags, int mode);

    [LibraryImport("libc")]
    public static partial int close(int descriptor);

    [LibraryImport("libc", SetLastError = true)]
    public static partial long lseek(FileDescriptor descriptor, long offset, int whence);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint read(int descriptor, byte* buffer, nuint count);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint write(int descriptor, byte* buffer, nuint count);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int poll(pollfd* descriptors, nuint count, int timeout);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint readv(FileDescriptor descriptor, GuestSegment* vectors, int count);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint writev(FileDescriptor descriptor, GuestSegment* vectors, int count);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint preadv(FileDescriptor descriptor, GuestSegment* vectors, int count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint pwritev(FileDescriptor descriptor, GuestSegment* vectors, int count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint pwrite(FileDescriptor descriptor, byte* buffer, nuint count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int fdatasync(FileDescriptor descriptor);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int fallocate(FileDescriptor descriptor, int mode, long offset, long length);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int fcntl(FileDescriptor descriptor, int command, void* argument);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int ioctl(FileDescriptor descriptor, nuint request, void* argument);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int epoll_ctl(FileDescriptor epoll, int operation, int descriptor, epoll_event* change);

    /// <summary>struct epoll_event, with room for both layouts (x86-64 packs it).</summary>
    [StructLayout(LayoutKind.Sequential, Size = 16)]
    public struct epoll_event
    {
        public uint events;
    }

    /// <summary>struct pollfd.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct pollfd
    {
        public int fd;
        public short events;
        public short revents;
    }

    /// <summary>struct flock of 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct flock
    {
        public short l_type;
        public short l_whence;
        public long l_start;
        public long l_len;
        public int l_pid;
    }
}
