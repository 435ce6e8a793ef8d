using System.Runtime.InteropServices;

namespace Vmm.DeviceModel.Interop;

/// <summary>The C library's calls that we make, with its names; one binding for all assemblies.</summary>
/// <remarks>Nothing here is retried. Numbers are those of Linux on x86-64 and arm64.</remarks>
internal static unsafe partial class Libc
{
    private const string Library = "libc";

    /// <summary>True if a call failed because a signal came in, so that it has to be made again.</summary>
    /// <param name="result">The call's; errno is still its own.</param>
    public static bool WasInterrupted(nint result) => ErrorOf(result) == Errno.EINTR;

    /// <summary>0, or why a call failed.</summary>
    /// <param name="result">The call's; errno is still its own.</param>
    public static int ErrorOf(nint result) => result < 0 ? Marshal.GetLastPInvokeError() : 0;
}
