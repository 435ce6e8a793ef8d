namespace Vmm.Machine;

/// <summary>One virtio block device over a raw file.</summary>
/// <param name="Path">The file or block device.</param>
/// <param name="ReadOnly">The guest may not write; the file is opened for reading only.</param>
/// <param name="Id">Name of the device in logs; by default made of its kind and number.</param>
/// <param name="Serial">What the guest reads as the disk's serial number, at most 20 bytes; by default the id.</param>
/// <param name="QueueCount">Request queues, or null for the device's default.</param>
/// <param name="QueueSize">Descriptors of a queue, a power of two, or null for the device's default.</param>
public sealed record DiskOptions(
    string Path, bool ReadOnly = false, string? Id = null, string? Serial = null, int? QueueCount = null, int? QueueSize = null);
