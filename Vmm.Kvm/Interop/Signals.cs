using System.Runtime.InteropServices;

namespace Vmm.Kvm.Interop;

/// <summary>The C library's calls for signals of a thread, with its names. Nothing here is retried.</summary>
internal static unsafe partial class Signals
{
    public const int SIG_BLOCK = 0;

    [LibraryImport("libc")]
    public static partial int getpid();

    [LibraryImport("libc")]
    public static partial int gettid();

    [LibraryImport("libc", SetLastError = true)]
    public static partial int tgkill(int process, int thread, int signal);

    /// <summary>Returns the error number instead of setting errno.</summary>
    [LibraryImport("libc")]
    public static partial int pthread_sigmask(int how, sigset_t* set, sigset_t* old);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int sigtimedwait(sigset_t* set, void* information, timespec* timeout);

    [LibraryImport("libc")]
    public static partial int __libc_current_sigrtmin();
}
