using System.Runtime.InteropServices;

namespace Vmm.Virtio.Queues;

/// <summary>
/// A run of guest bytes at one host address. The layout is that of <c>struct iovec</c>, so that an array of them goes to the kernel as it is.
/// </summary>
/// <remarks>
/// Valid as long as the buffers that it came from: inside the scope in which their chain was popped, and for a chain that is kept beyond it
/// until that is completed (CON-2). The guest may change the bytes at any time.
/// </remarks>
/// <param name="Address">Host address of the first byte.</param>
/// <param name="Length">Bytes.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct MemoryPiece(nint Address, nuint Length);
