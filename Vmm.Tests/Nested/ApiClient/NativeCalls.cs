using System;
using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Vmm.Tests.Nested.ApiClient;

/// <summary>The clients' system calls that .NET has no name for.</summary>
internal static unsafe partial class NativeCalls
{
    private const int O_RDWR = 2;
    private const int O_NOCTTY = 0x100;
    private const int O_CLOEXEC = 0x80000;
    private const int F_SETFD = 2;
    private const nuint TUNSETIFF = 0x400454ca;
    private const short IFF_TAP = 2;
    private const short IFF_NO_PI = 0x1000;
    private const short IFF_VNET_HDR = 0x4000;

    /// <summary>A descriptor that a child has, too.</summary>
    public static void Inherit(SafeHandle handle) => Check(fcntl((int)handle.DangerousGetHandle(), F_SETFD, 0), "fcntl");

    /// <summary>A named pipe.</summary>
    public static void MakePipe(string path) => Check(mkfifo(path, 0x180), "mkfifo");

    /// <summary>A terminal, which does not become ours.</summary>
    public static SafeFileHandle OpenTerminal(string path)
    {
        int descriptor = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
        Check(descriptor, path);
        return new SafeFileHandle(descriptor, ownsHandle: true);
    }

    /// <summary>A tap interface, as who manages the network opens it for a VMM.</summary>
    public static SafeFileHandle OpenTap(string name)
    {
        int descriptor = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
        Check(descriptor, "/dev/net/tun");
        var tap = new SafeFileHandle(descriptor, ownsHandle: true);
        byte* request = stackalloc byte[40];
        new Span<byte>(request, 40).Clear();
        Encoding.ASCII.GetBytes(name, new Span<byte>(request, 15));
        *(short*)(request + 16) = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
        Check(ioctl(descriptor, TUNSETIFF, request), "TUNSETIFF");
        return tap;
    }

    private static void Check(int result, string call)
    {
        if (result < 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError(), $"{call}: {Marshal.GetLastPInvokeErrorMessage()}");
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int descriptor, int command, int argument);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkfifo(string path, uint mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(int descriptor, nuint request, byte* argument);
}
