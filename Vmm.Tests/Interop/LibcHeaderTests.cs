using Vmm.DeviceModel.Interop;

namespace Vmm.Tests.Interop;

/// <summary>Our binding of the C library, against the headers.</summary>
public sealed class LibcHeaderTests
{
    [CompilerFact]
    public void Constants_and_structures_are_those_of_the_headers()
    {
        new CHeaderCheck(
                "errno.h", "fcntl.h", "linux/falloc.h", "linux/io_uring.h", "linux/magic.h", "linux/memfd.h", "poll.h", "sys/epoll.h",
                "sys/eventfd.h", "sys/mman.h", "sys/resource.h", "sys/socket.h", "sys/stat.h", "sys/statfs.h", "sys/syscall.h", "sys/uio.h",
                "unistd.h")
            .Constants(typeof(Errno))
            .Constants(typeof(Libc))
            .Struct<Libc.pollfd>("struct pollfd")
            .Struct<Libc.flock>("struct flock")
            .Struct<Libc.rlimit>("struct rlimit")
            .Struct<Libc.epoll_event>("struct epoll_event")
            .Struct<Libc.statx_buffer>("struct statx")
            .Members<Libc.statfs_buffer>("struct statfs")
            .Struct<Libc.io_uring_cqe>("struct io_uring_cqe")
            .Run();
    }

    [CompilerFact]
    public void A_wrong_binding_is_found()
    {
        new CHeaderCheck("errno.h").Equal("EINTR", 4).Holds().Should().BeTrue();
        new CHeaderCheck("errno.h").Equal("EINTR", 5).Holds().Should().BeFalse();
        new CHeaderCheck("errno.h").Equal("NO_SUCH_NAME", 5).Holds().Should().BeFalse();
        new CHeaderCheck("sys/epoll.h").Struct<Swapped>("struct epoll_event").Holds().Should().BeFalse();
        new CHeaderCheck("sys/epoll.h").Struct<Swapped>("struct epoll_event", ("absent", "data")).Holds().Should().BeFalse();
        new CHeaderCheck("sys/epoll.h").Struct<Short>("struct epoll_event").Holds().Should().BeFalse();
        new CHeaderCheck("sys/epoll.h").Members<Short>("struct epoll_event").Holds().Should().BeTrue();
    }

#pragma warning disable CS0649 // Only the layout is looked at.
    private struct Swapped
    {
        public ulong data;
        public uint events;
    }

    private struct Short
    {
        public uint events;
    }
#pragma warning restore CS0649
}
