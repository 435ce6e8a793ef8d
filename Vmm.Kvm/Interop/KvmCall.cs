using System.Runtime.InteropServices;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Interop;

namespace Vmm.Kvm.Interop;

/// <summary>The seam to the kernel: retries interrupted calls and turns failures into <see cref="HostException"/>.</summary>
internal static unsafe partial class KvmCall
{
    /// <summary>For KVM_RUN: the caller holds the descriptor open, and reads errno itself and only after a failure.</summary>
    [LibraryImport("libc", EntryPoint = "ioctl")]
    public static partial int Raw(int descriptor, nuint request, nuint argument);

    /// <summary>Calls until not interrupted.</summary>
    /// <returns>The kernel's result, or the negated errno.</returns>
    public static int Try(FileDescriptor descriptor, uint request, nuint argument = 0)
    {
        int result;
        do
        {
            result = Libc.ioctl(descriptor, request, argument);
        }
        while (Libc.WasInterrupted(result));
        return result >= 0 ? result : -Libc.ErrorOf(result);
    }

    /// <summary>Calls until not interrupted.</summary>
    /// <returns>The kernel's result, or the negated errno.</returns>
    public static int Try(FileDescriptor descriptor, uint request, void* argument)
    {
        return Try(descriptor, request, (nuint)argument);
    }

    /// <summary>Calls, and throws with the step's name if the kernel refuses.</summary>
    public static int Do(FileDescriptor descriptor, uint request, nuint argument, string step, string detail)
    {
        int result = Try(descriptor, request, argument);
        return result >= 0 ? result : throw Failure(step, -result, detail);
    }

    /// <summary>Calls, and throws with the step's name if the kernel refuses.</summary>
    public static int Do(FileDescriptor descriptor, uint request, void* argument, string step, string detail)
    {
        return Do(descriptor, request, (nuint)argument, step, detail);
    }

    /// <summary>The exception for a refused step; names the limit behind the errno where there is one (KVM-9).</summary>
    public static HostException Failure(string step, int errno, string detail)
    {
        string limit = errno switch
        {
            Errno.EMFILE => "; the limit of open files of this process (RLIMIT_NOFILE, ulimit -n) is reached",
            Errno.ENFILE => "; the limit of open files of the system (fs.file-max) is reached",
            Errno.ENOMEM => "; the kernel is out of memory",
            _ => string.Empty,
        };
        return new HostException(step, errno, detail + limit);
    }
}
