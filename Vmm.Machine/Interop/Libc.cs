using System;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Vmm.Machine.Interop;

/// <summary>The system calls of the character back-ends. EINTR is handled here.</summary>
internal static partial class Libc
{
    public const int EINTR = 4;
    public const int EAGAIN = 11;

    private const int O_WRONLY = 1;
    private const int O_CREAT = 0x40;
    private const int O_NOCTTY = 0x100;
    private const int O_TRUNC = 0x200;
    private const int O_APPEND = 0x400;
    private const int O_NONBLOCK = 0x800;
    private const int O_CLOEXEC = 0x80000;
    private const short POLLOUT = 4;

    /// <summary>Opens a file for output, made if absent. A named pipe that nobody reads is an error (ENXIO), not a wait.</summary>
    /// <returns>The handle, invalid with <paramref name="errno"/> set.</returns>
    public static SafeFileHandle OpenOutput(string path, bool append, out int errno)
    {
        int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND | O_NOCTTY | O_NONBLOCK | (append ? 0 : O_TRUNC);
        int descriptor;
        do
        {
            descriptor = Open(path, flags, 0x1B6);              // 0666
            errno = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (errno == EINTR);
        return new SafeFileHandle(descriptor, ownsHandle: true);
    }

    /// <summary>The system's words for an error.</summary>
    public static string Describe(int errno) => Marshal.GetPInvokeErrorMessage(errno);

    /// <summary>Waits until a descriptor takes output.</summary>
    /// <returns>False after the time.</returns>
    public static unsafe bool WaitWritable(int descriptor, int milliseconds)
    {
        var request = new PollRequest { Descriptor = descriptor, Events = POLLOUT };
        return Poll(&request, 1, milliseconds) > 0;
    }

    /// <summary>Writes.</summary>
    /// <returns>Bytes written, or the negated error.</returns>
    public static unsafe int Write(int descriptor, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* pointer = bytes)
        {
            while (true)
            {
                nint result = WriteRaw(descriptor, pointer, (nuint)bytes.Length);
                if (result >= 0)
                {
                    return (int)result;
                }

                int errno = Marshal.GetLastPInvokeError();
                if (errno != EINTR)
                {
                    return -errno;
                }
            }
        }
    }

    /// <summary>Reads.</summary>
    /// <returns>Bytes read, 0 at the end, or the negated error.</returns>
    public static unsafe int Read(int descriptor, Span<byte> bytes)
    {
        fixed (byte* pointer = bytes)
        {
            while (true)
            {
                nint result = ReadRaw(descriptor, pointer, (nuint)bytes.Length);
                if (result >= 0)
                {
                    return (int)result;
                }

                int errno = Marshal.GetLastPInvokeError();
                if (errno != EINTR)
                {
                    return -errno;
                }
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static unsafe partial int Poll(PollRequest* requests, nuint count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static unsafe partial nint WriteRaw(int descriptor, byte* bytes, nuint length);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static unsafe partial nint ReadRaw(int descriptor, byte* bytes, nuint length);

    [StructLayout(LayoutKind.Sequential)]
    private struct PollRequest
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }
}
