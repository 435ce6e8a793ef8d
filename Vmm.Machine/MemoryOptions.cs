namespace Vmm.Machine;

/// <summary>How much RAM and of what kind (MEM-6).</summary>
/// <param name="Size">Bytes, a multiple of 4 KiB (of 2 MiB with <paramref name="HugePages"/>), at least <see cref="MemoryLayout.MinimumSize"/>.</param>
/// <param name="Shared">Back it with a memfd that another process can map.</param>
/// <param name="HugePages">Back it with reserved huge pages of 2 MiB.</param>
public sealed record MemoryOptions(ulong Size = 512UL << 20, bool Shared = false, bool HugePages = false);
