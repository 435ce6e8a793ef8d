using System.Runtime.InteropServices;

namespace Vmm.Kvm.Interop;

/// <summary>The C library's signal set: 1024 bits, of which the kernel knows the first 64.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct sigset_t
{
    public fixed ulong bits[16];

    public void Add(int signal)
    {
        int bit = signal - 1;
        bits[bit / 64] |= 1UL << (bit % 64);
    }
}

[StructLayout(LayoutKind.Sequential)]
internal struct timespec
{
    public long tv_sec;
    public long tv_nsec;
}
