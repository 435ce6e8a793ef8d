using Vmm.Virtio.Limits;

namespace Vmm.Machine.Catalogue;

/// <summary>One virtio block device over a raw file.</summary>
/// <param name="Path">The file or block device.</param>
/// <param name="ReadOnly">The guest may not write; the file is opened for reading only.</param>
/// <param name="Serial">The disk's serial number as the guest reads it, at most 20 bytes of ASCII; by default the id, if it is ASCII.</param>
/// <param name="QueueCount">Request queues, or null for the device's default.</param>
/// <param name="Direct">Requests bypass the host's page cache (O_DIRECT).</param>
/// <param name="DisableIoUring">Requests go through threads even where the kernel has io_uring.</param>
public sealed record DiskOptions(
    string Path, bool ReadOnly = false, string? Serial = null, int? QueueCount = null, bool Direct = false, bool DisableIoUring = false)
    : VirtioOptions
{
    /// <summary>The bytes and requests that the guest may have in a time, reads and writes together; null for no limit.</summary>
    public RateLimiterOptions? RateLimiterConfig { get; init; }
}
