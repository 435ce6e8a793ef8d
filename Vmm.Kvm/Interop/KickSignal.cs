using System.Runtime.InteropServices;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Interop;

namespace Vmm.Kvm.Interop;

/// <summary>The real-time signal that ends KVM_RUN. It is never delivered: threads that get it keep it blocked and take it by waiting.</summary>
/// <remarks>The first real-time signals belong to the C library and to the .NET runtime; this one is free in both.</remarks>
internal static unsafe class KickSignal
{
    private static readonly int Number = Signals.__libc_current_sigrtmin() + 4;
    private static readonly int Process = Signals.getpid();

    /// <summary>Blocks the signal in the calling thread.</summary>
    /// <param name="guestMask">What is to be blocked inside KVM_RUN: the same as before, and not this signal.</param>
    public static void BlockInThread(out ulong guestMask)
    {
        sigset_t set = default;
        set.Add(Number);
        sigset_t old = default;
        int errno = Signals.pthread_sigmask(Signals.SIG_BLOCK, &set, &old);
        if (errno != 0)
        {
            throw new HostException("pthread_sigmask", errno, "blocking the kick signal");
        }

        guestMask = old.bits[0] & ~set.bits[0];
    }

    /// <summary>Sends it to a thread of ours that blocks it.</summary>
    /// <returns>False if the user's limit of queued signals (RLIMIT_SIGPENDING) is reached.</returns>
    public static bool Send(int thread) => Signals.tgkill(Process, thread, Number) == 0;

    /// <summary>Takes what is pending for the calling thread, without waiting.</summary>
    public static void Consume()
    {
        sigset_t set = default;
        set.Add(Number);
        timespec none = default;
        while (Signals.sigtimedwait(&set, null, &none) > 0 || Marshal.GetLastPInvokeError() == Errno.EINTR)
        {
        }
    }

    /// <summary>Waits until one is pending for the calling thread and takes it; may return early.</summary>
    public static void Wait()
    {
        sigset_t set = default;
        set.Add(Number);
        _ = Signals.sigtimedwait(&set, null, null);
    }
}
