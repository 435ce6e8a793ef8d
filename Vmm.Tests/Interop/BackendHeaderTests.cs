using System;
using Vmm.Virtio.Interop;

namespace Vmm.Tests.Interop;

/// <summary>The system calls of the back-ends, against the headers.</summary>
public sealed class BackendHeaderTests
{
    [CompilerFact]
    public void Files_and_sockets_have_the_headers_constants_and_layouts()
    {
        new CHeaderCheck("errno.h", "fcntl.h", "linux/falloc.h", "poll.h", "sys/epoll.h", "sys/socket.h", "unistd.h")
            .Constants(typeof(Libc))
            .Struct<Libc.pollfd>("struct pollfd")
            .Struct<Libc.flock>("struct flock")
            .Equal("sizeof(struct epoll_event) <= 16", 1)
            .Run();
    }

    [CompilerFact]
    public void Taps_have_the_headers_constants()
    {
        new CHeaderCheck("sys/ioctl.h", "linux/if.h", "linux/if_tun.h", "linux/sockios.h")
            .Constants(typeof(Tap), name => name.StartsWith("IF", StringComparison.Ordinal)
                || name.StartsWith("TUN", StringComparison.Ordinal) || name.StartsWith("SIOC", StringComparison.Ordinal))
            .Run();
    }

    [CompilerFact]
    public void Serial_back_ends_have_the_headers_constants()
    {
        new CHeaderCheck("errno.h", "fcntl.h", "poll.h").Constants(typeof(Vmm.Machine.Interop.Libc)).Run();
    }
}
