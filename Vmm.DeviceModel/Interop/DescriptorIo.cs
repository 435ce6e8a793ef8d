using System;
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
        int error;
        do
        {
            number = Libc.open(path, flags | Libc.O_CLOEXEC, mode);
            error = number < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (error == Errno.EINTR);
        descriptor = new FileDescriptor(number);
        return error;
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

    /// <summary>Waits until a descriptor takes output.</summary>
    /// <returns>False after the time.</returns>
    public static bool WaitWritable(int descriptor, int milliseconds) => Poll(descriptor, Libc.POLLOUT, milliseconds, out _) > 0;

    /// <summary>Reads what there is; nothing is the end.</summary>
    public static int Read(int descriptor, Span<byte> destination, out int received)
    {
        fixed (byte* start = destination)
        {
            nint done;
            int error;
            do
            {
                done = Libc.read(descriptor, start, (nuint)destination.Length);
                error = done < 0 ? Marshal.GetLastPInvokeError() : 0;
            }
            while (error == Errno.EINTR);
            received = (int)Math.Max(0, done);
            return error;
        }
    }

    /// <summary>Writes as much as the descriptor takes.</summary>
    public static int WriteSome(int descriptor, ReadOnlySpan<byte> source, out int sent)
    {
        fixed (byte* start = source)
        {
            nint done;
            int error;
            do
            {
                done = Libc.write(descriptor, start, (nuint)source.Length);
                error = done < 0 ? Marshal.GetLastPInvokeError() : 0;
            }
            while (error == Errno.EINTR);
            sent = (int)Math.Max(0, done);
            return error;
        }
    }

    private static int Poll(int descriptor, short events, int milliseconds, out int error)
    {
        var poll = new Libc.pollfd { fd = descriptor, events = events };
        int ready = Libc.poll(&poll, 1, milliseconds);
        error = ready < 0 ? Marshal.GetLastPInvokeError() : 0;
        return ready;
    }
}
