using Vmm.DeviceModel.Interop;

namespace Vmm.Machine.Host;

/// <summary>The descriptors that this process may have open: a vector, a queue or a back-end each take some.</summary>
public static class OpenFileLimit
{
    /// <summary>
    /// Raises the soft limit (RLIMIT_NOFILE) to the hard one, for the whole process and what it starts: a program's business, not a library's.
    /// </summary>
    /// <returns>The soft limit now; 0 if the host does not tell.</returns>
    public static unsafe ulong Raise()
    {
        Libc.rlimit limit;
        if (Libc.getrlimit(Libc.RLIMIT_NOFILE, &limit) != 0)
        {
            return 0;
        }

        Libc.rlimit raised = limit with { rlim_cur = limit.rlim_max };
        return limit.rlim_cur == limit.rlim_max || Libc.setrlimit(Libc.RLIMIT_NOFILE, &raised) != 0 ? limit.rlim_cur : raised.rlim_cur;
    }
}
