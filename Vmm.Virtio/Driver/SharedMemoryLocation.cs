namespace Vmm.Virtio.Driver;

/// <summary>A shared memory region of a device (virtio 1.2, 2.10 and 4.1.4.7).</summary>
/// <param name="Id">What the device type calls it.</param>
/// <param name="Bar">Index of the BAR.</param>
/// <param name="Offset">Offset in the BAR, in bytes.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct SharedMemoryLocation(byte Id, int Bar, ulong Offset, ulong Length);
