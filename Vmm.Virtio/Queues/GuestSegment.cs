using System.Runtime.InteropServices;

namespace Vmm.Virtio.Queues;

/// <summary>
/// A run of guest bytes at one host address. The layout is that of <c>struct iovec</c>, so that arrays go to the kernel as they are.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct GuestSegment
{
    public byte* Base;
    public nuint Length;
}
