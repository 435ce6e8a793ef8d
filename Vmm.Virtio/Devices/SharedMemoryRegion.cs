using Vmm.DeviceModel.Memory;

namespace Vmm.Virtio.Devices;

/// <summary>
/// Memory that a device shares with its driver (virtio 1.2, 2.10), such as the cache window of a file system or the memory of a screen.
/// </summary>
/// <param name="Id">The region's number, unique in the device; what it means is the device type's business.</param>
/// <param name="Memory">The host memory behind it; stays mapped while the device exists.</param>
/// <param name="Offset">Where in the mapping the region starts: a multiple of 4096.</param>
/// <param name="Length">Bytes, at least 1. The guest maps whole pages of it; what is left over at its end reaches it by exits.</param>
/// <param name="ReadOnly">Guest writes are dropped.</param>
public sealed record SharedMemoryRegion(byte Id, HostMemory Memory, ulong Offset, ulong Length, bool ReadOnly = false);
