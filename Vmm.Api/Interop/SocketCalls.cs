using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Vmm.Api.Interop;

/// <summary>Calls that .NET's sockets lack: descriptors that come with bytes (recvmsg(2), cmsg(3)), modes and identities of socket files.</summary>
internal static unsafe partial class SocketCalls
{
    /// <summary>Descriptors that one message can bring at most (SCM_MAX_FD).</summary>
    private const int DescriptorsAtOnce = 253;

    private const int SolSocket = 1;
    private const int ScmRights = 1;
    private const int MsgDontWait = 0x40;
    private const int MsgControlTruncated = 0x8;
    private const int MsgCmsgCloseOnExec = 0x40000000;
    private const int HeaderLength = 16;                        // struct cmsghdr: cmsg_len, cmsg_level, cmsg_type
    private const int Interrupted = 4;
    private const int TryAgain = 11;
    private const int CurrentFolder = -100;                     // AT_FDCWD

    /// <summary>Takes bytes that are there, and the descriptors that came with them.</summary>
    /// <param name="socket">A connected socket.</param>
    /// <param name="destination">Where the bytes go.</param>
    /// <param name="descriptors">Where the descriptors go, the caller's from now on.</param>
    /// <returns>How many bytes; 0 at the end, -1 if there are none yet, -2 if the connection is broken.</returns>
    public static int Receive(SafeHandle socket, Span<byte> destination, ICollection<SafeFileHandle> descriptors)
    {
        const int ControlLength = HeaderLength + (DescriptorsAtOnce * sizeof(int)) + 4;
        ulong* control = stackalloc ulong[ControlLength / sizeof(ulong)];
        bool held = false;
        fixed (byte* bytes = destination)
        {
            var vector = new iovec { Base = bytes, Length = (nuint)destination.Length };
            var message = new msghdr { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = ControlLength };
            nint received;
            try
            {
                socket.DangerousAddRef(ref held);
                int number = (int)socket.DangerousGetHandle();
                do
                {
                    received = recvmsg(number, &message, MsgDontWait | MsgCmsgCloseOnExec);
                }
                while (received < 0 && Marshal.GetLastPInvokeError() == Interrupted);
            }
            finally
            {
                if (held)
                {
                    socket.DangerousRelease();
                }
            }

            if (received < 0)
            {
                return Marshal.GetLastPInvokeError() == TryAgain ? -1 : -2;
            }

            TakeDescriptors((byte*)control, (int)message.ControlLength, descriptors);

            // Some did not arrive, for lack of room in the process: the request is not what was sent.
            return (message.Flags & MsgControlTruncated) != 0 ? -2 : (int)received;
        }
    }

    /// <summary>Sets the mode that the file of a socket is made with. Before it is bound: nobody finds it with another.</summary>
    public static bool TrySetMode(SafeHandle socket, uint mode) => fchmod(socket, mode) == 0;

    /// <summary>Takes the lock that a file stands for, which ends with the handle. Never waits.</summary>
    /// <param name="path">The file, made if it is absent; only its owner opens it.</param>
    /// <param name="error">0, or why not: EAGAIN if another process has it.</param>
    /// <returns>Null if it was not taken.</returns>
    public static SafeFileHandle? TryLock(string path, out int error)
    {
        const int ReadWrite = 2;
        const int Create = 0x40;
        const int CloseOnExec = 0x80000;
        const int ExclusiveAtOnce = 2 | 4;
        while (true)
        {
            var file = new SafeFileHandle(open(path, ReadWrite | Create | CloseOnExec, 0x180), ownsHandle: true);
            error = file.IsInvalid ? Marshal.GetLastPInvokeError() : 0;
            if (error == 0 && flock(file, ExclusiveAtOnce) != 0)
            {
                error = Marshal.GetLastPInvokeError();
            }

            if (error != 0 && error != Interrupted)
            {
                file.Dispose();
                return null;
            }

            // Whoever had it before removes the file: a lock on one that has no name any more keeps nobody away.
            if (error == 0 && Identify((int)file.DangerousGetHandle(), "") is { } mine && Identify(CurrentFolder, path) == mine)
            {
                return file;
            }

            file.Dispose();
        }
    }

    /// <summary>Which file a path leads to: its type, device and number; null where there is none. Links are not followed.</summary>
    public static FileIdentity? Find(string path) => Identify(CurrentFolder, path);

    /// <summary>Whether a number is that of an open socket.</summary>
    public static bool IsSocket(int descriptor) => Identify(descriptor, "") is { IsSocket: true };

    private static FileIdentity? Identify(int folder, string path)
    {
        const int EmptyPath = 0x1000;
        const int NoFollow = 0x100;
        const uint BasicStats = 0x7ff;
        const int TypeMask = 0xF000;
        const int Socket = 0xC000;
        statx_buffer stat;
        return statx(folder, path, path.Length == 0 ? EmptyPath : NoFollow, BasicStats, &stat) == 0
            ? new FileIdentity((stat.Mode & TypeMask) == Socket, stat.DeviceMajor, stat.DeviceMinor, stat.Number)
            : null;
    }

    private static void TakeDescriptors(byte* control, int length, ICollection<SafeFileHandle> descriptors)
    {
        for (int offset = 0; offset + HeaderLength <= length;)
        {
            long size = *(long*)(control + offset);
            if (size < HeaderLength || size > length - offset)
            {
                return;
            }

            if (*(int*)(control + offset + 8) == SolSocket && *(int*)(control + offset + 12) == ScmRights)
            {
                for (long at = HeaderLength; at + sizeof(int) <= size; at += sizeof(int))
                {
                    descriptors.Add(new SafeFileHandle(*(int*)(control + offset + at), ownsHandle: true));
                }
            }

            offset += (int)((size + 7) & ~7L);
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recvmsg(int socket, msghdr* message, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchmod(SafeHandle file, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(SafeHandle file, int operation);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int folder, string path, int flags, uint mask, statx_buffer* buffer);

    [StructLayout(LayoutKind.Sequential)]
    private struct iovec
    {
        public void* Base;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct msghdr
    {
        public void* Name;
        public uint NameLength;
        public iovec* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct statx_buffer
    {
        [FieldOffset(28)]
        public ushort Mode;

        [FieldOffset(32)]
        public ulong Number;

        [FieldOffset(136)]
        public uint DeviceMajor;

        [FieldOffset(140)]
        public uint DeviceMinor;
    }

    /// <summary>A file by what the kernel knows it by.</summary>
    public readonly record struct FileIdentity(bool IsSocket, uint DeviceMajor, uint DeviceMinor, ulong Number);
}
