using System;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Vmm.DeviceModel.Interop;

/// <summary>Opens descriptors and moves bytes through them. EINTR is handled here; every method gives 0 or an error number.</summary>
internal static unsafe class DescriptorIo
{
    /// <summary>The mode of a new file that anybody may read and write, as far as the process's mask lets them.</summary>
    public const int AnybodysFile = 0x1b6;

    public static int Open(string path, int flags, out FileDescriptor descriptor, int mode = 0)
    {
        int number;
        do
        {
            number = Libc.open(path, flags | Libc.O_CLOEXEC, mode);
        }
        while (Libc.WasInterrupted(number));
        int error = Libc.ErrorOf(number);
        descriptor = new FileDescriptor(number);
        return error;
    }

    /// <summary>
    /// Opens what a descriptor of somebody else writes to once more, so that writing there never waits: a terminal says that it takes output while
    /// it has room for less than is written, and so does a pipe with a second writer. The other's descriptor keeps its mode.
    /// </summary>
    /// <returns>Null where that is not needed (a file, whose position is the descriptor's) or not possible (a socket).</returns>
    public static FileDescriptor? ReopenForOutput(int descriptor)
    {
        if (descriptor < 0 || Libc.lseek(descriptor, 0, Libc.SEEK_CUR) >= 0)
        {
            return null;
        }

        string path = string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{descriptor}");
        return Open(path, Libc.O_WRONLY | Libc.O_NONBLOCK | Libc.O_NOCTTY, out FileDescriptor own) == 0 ? own : null;
    }

    /// <summary>Whether a number is that of an open descriptor.</summary>
    public static bool IsOpen(int descriptor) => Libc.fcntl(descriptor, Libc.F_GETFL, 0) >= 0;

    /// <summary>Another number for what somebody else has open, which stays theirs.</summary>
    public static int Duplicate(SafeHandle descriptor, out FileDescriptor own)
    {
        bool referenced = false;
        try
        {
            descriptor.DangerousAddRef(ref referenced);
            int number = Libc.fcntl((int)descriptor.DangerousGetHandle(), Libc.F_DUPFD_CLOEXEC, 0);
            int error = Libc.ErrorOf(number);
            own = new FileDescriptor(number);
            return error;
        }
        finally
        {
            if (referenced)
            {
                descriptor.DangerousRelease();
            }
        }
    }

    /// <summary>Has calls on what is open never wait (O_NONBLOCK); whoever else has it open is affected too.</summary>
    public static int DoNotBlock(FileDescriptor descriptor)
    {
        int flags = Libc.fcntl(descriptor.Number, Libc.F_GETFL, 0);
        return Libc.ErrorOf(flags >= 0 ? Libc.fcntl(descriptor.Number, Libc.F_SETFL, flags | Libc.O_NONBLOCK) : flags);
    }

    /// <summary>Whether a read would not wait: there is input, or its end.</summary>
    public static bool IsReadable(int descriptor) => Poll(descriptor, Libc.POLLIN, 0, out _) > 0;

    /// <summary>Whether epoll takes a descriptor: files and /dev/null it does not.</summary>
    public static bool CanWatch(int descriptor)
    {
        if (descriptor < 0)
        {
            return false;
        }

        using var epoll = new FileDescriptor(Libc.epoll_create1(Libc.EPOLL_CLOEXEC));
        Libc.epoll_event nothing = default;
        return !epoll.IsInvalid && Libc.epoll_ctl(epoll.Number, Libc.EPOLL_CTL_ADD, descriptor, &nothing) == 0;
    }

    /// <summary>Whether the other end of a socket is gone, both ways.</summary>
    public static bool HasHungUp(SafeHandle socket)
    {
        bool referenced = false;
        try
        {
            socket.DangerousAddRef(ref referenced);
            var poll = new Libc.pollfd { fd = (int)socket.DangerousGetHandle() };
            return Libc.poll(&poll, 1, 0) > 0 && (poll.revents & Libc.POLLHUP) != 0;
        }
        finally
        {
            if (referenced)
            {
                socket.DangerousRelease();
            }
        }
    }

    /// <summary>Waits until a descriptor takes output.</summary>
    /// <returns>False after the time.</returns>
    public static bool WaitWritable(int descriptor, int milliseconds) => Poll(descriptor, Libc.POLLOUT, milliseconds, out _) > 0;

    /// <summary>Waits until the other end of a descriptor has hung up.</summary>
    /// <returns>False after the time.</returns>
    public static bool WaitHungUp(int descriptor, int milliseconds) => Poll(descriptor, 0, milliseconds, out _) > 0;

    /// <summary>Reads what there is; nothing is the end.</summary>
    public static int Read(int descriptor, Span<byte> destination, out int received)
    {
        fixed (byte* start = destination)
        {
            nint done;
            do
            {
                done = Libc.read(descriptor, start, (nuint)destination.Length);
            }
            while (Libc.WasInterrupted(done));
            received = (int)Math.Max(0, done);
            return Libc.ErrorOf(done);
        }
    }

    /// <summary>Writes as much as the descriptor takes.</summary>
    public static int WriteSome(int descriptor, ReadOnlySpan<byte> source, out int sent)
    {
        fixed (byte* start = source)
        {
            nint done;
            do
            {
                done = Libc.write(descriptor, start, (nuint)source.Length);
            }
            while (Libc.WasInterrupted(done));
            sent = (int)Math.Max(0, done);
            return Libc.ErrorOf(done);
        }
    }

    private static int Poll(int descriptor, short events, int milliseconds, out int error)
    {
        var poll = new Libc.pollfd { fd = descriptor, events = events };
        int ready = Libc.poll(&poll, 1, milliseconds);
        error = Libc.ErrorOf(ready);
        return ready;
    }
}
