using Vmm.DeviceModel.Interop;
using Vmm.Machine.Host;

namespace Vmm.Tests.Machine;

/// <summary>The process's limit of open descriptors.</summary>
public sealed unsafe class OpenFileLimitTests
{
    [Fact]
    public void The_soft_limit_becomes_the_hard_one()
    {
        Libc.rlimit before;
        Libc.getrlimit(Libc.RLIMIT_NOFILE, &before).Should().Be(0);
        Libc.rlimit lowered = before with { rlim_cur = before.rlim_max - 1 };
        try
        {
            Libc.setrlimit(Libc.RLIMIT_NOFILE, &lowered).Should().Be(0);
            OpenFileLimit.Raise().Should().Be(before.rlim_max);
            Libc.rlimit after;
            Libc.getrlimit(Libc.RLIMIT_NOFILE, &after).Should().Be(0);
            after.Should().Be(before with { rlim_cur = before.rlim_max });
            OpenFileLimit.Raise().Should().Be(before.rlim_max, "there is nothing more to raise");
        }
        finally
        {
            Libc.setrlimit(Libc.RLIMIT_NOFILE, &before).Should().Be(0);
        }
    }
}
