using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Interop;

/// <summary>Opens descriptors and moves bytes or packets between them and guest buffers; every method gives 0 or an error number.</summary>
internal static unsafe class DescriptorIo
{
    private const int PollIn = 1;
    private const int PollOut = 4;

    // IOV_MAX of Linux.
    private const int VectorsAtOnce = 1024;

    public static int Open(string path, int flags, out FileDescriptor descriptor, int mode = 0)
    {
        int number;
        int error;
        do
        {
            number = Libc.open(path, flags | Libc.O_CLOEXEC, mode);
            error = number < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (error == Libc.EINTR);
        descriptor = new FileDescriptor(number);
        return error;
    }

    /// <summary>One readv: a packet, or what a stream has.</summary>
    [SkipLocalsInit]
    public static int Receive(FileDescriptor descriptor, GuestBuffers destination, out int received)
    {
        GuestSegment* vectors = stackalloc GuestSegment[VectorsAtOnce];
        int count = IoVectors.Fill(destination, new Span<GuestSegment>(vectors, VectorsAtOnce));
        nint done;
        int error;
        do
        {
            done = Libc.readv(descriptor, vectors, count);
            error = done < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (error == Libc.EINTR);
        received = (int)Math.Max(0, done);
        return error;
    }

    /// <summary>One writev: a packet. A packet in more pieces than the kernel takes is EINVAL.</summary>
    [SkipLocalsInit]
    public static int Send(FileDescriptor descriptor, GuestBuffers source)
    {
        if (source.Count > VectorsAtOnce)
        {
            return Libc.EINVAL;
        }

        GuestSegment* vectors = stackalloc GuestSegment[VectorsAtOnce];
        int count = IoVectors.Fill(source, new Span<GuestSegment>(vectors, VectorsAtOnce));
        int error;
        do
        {
            error = Libc.writev(descriptor, vectors, count) < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (error == Libc.EINTR);
        return error;
    }

    /// <summary>Whether a read would not wait: there is input, or its end.</summary>
    public static bool IsReadable(int descriptor)
    {
        var poll = new Libc.pollfd { fd = descriptor, events = PollIn };
        return Libc.poll(&poll, 1, 0) > 0;
    }

    /// <summary>Whether epoll takes a descriptor: files and /dev/null it does not.</summary>
    public static bool CanWatch(int descriptor)
    {
        if (descriptor < 0)
        {
            return false;
        }

        using var epoll = new FileDescriptor(Libc.epoll_create1(Libc.EPOLL_CLOEXEC));
        Libc.epoll_event nothing = default;
        return !epoll.IsInvalid && Libc.epoll_ctl(epoll, Libc.EPOLL_CTL_ADD, descriptor, &nothing) == 0;
    }

    /// <summary>Reads what there is.</summary>
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
            while (error == Libc.EINTR);
            received = (int)Math.Max(0, done);
            return error;
        }
    }

    /// <summary>Writes everything, but waits for a reader that does not read no longer than given.</summary>
    public static int Write(int descriptor, ReadOnlySpan<byte> source, int patienceMilliseconds)
    {
        fixed (byte* start = source)
        {
            int sent = 0;
            while (sent < source.Length)
            {
                var poll = new Libc.pollfd { fd = descriptor, events = PollOut };
                int ready = Libc.poll(&poll, 1, patienceMilliseconds);
                int error = ready < 0 ? Marshal.GetLastPInvokeError() : 0;
                if (ready == 0)
                {
                    return Libc.EAGAIN;
                }

                // A pipe that polls writable takes this much without blocking.
                int length = Math.Min(source.Length - sent, 4096);
                nint done = error == 0 ? Libc.write(descriptor, start + sent, (nuint)length) : 0;
                error = done < 0 ? Marshal.GetLastPInvokeError() : error;
                if (error is not (0 or Libc.EINTR or Libc.EAGAIN))
                {
                    return error;
                }

                sent += (int)Math.Max(0, done);
            }

            return 0;
        }
    }
}
