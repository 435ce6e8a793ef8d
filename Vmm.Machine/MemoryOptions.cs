using Vmm.Machine.Layout;

namespace Vmm.Machine;

/// <summary>How much RAM and of what kind (MEM-6).</summary>
/// <param name="Size">
/// Bytes, a multiple of 4 KiB (of 2 MiB with <paramref name="HugePages"/>), at least <see cref="MemoryLayout.MinimumSize"/>.
/// </param>
/// <param name="Shared">Back it with a memfd that another process can map.</param>
/// <param name="HugePages">Back it with reserved huge pages of 2 MiB.</param>
/// <param name="TransparentHugePages">
/// Ask the host for transparent huge pages (MADV_HUGEPAGE); without meaning for reserved ones. Where
/// /sys/kernel/mm/transparent_hugepage/enabled says <c>never</c> it gives none, and to shared RAM only as shmem_enabled beside it says. Not asked, it
/// gives them where it says <c>always</c>.
/// </param>
public sealed record MemoryOptions(ulong Size = 512UL << 20, bool Shared = false, bool HugePages = false, bool TransparentHugePages = true);
