namespace Vmm.Kvm;

/// <summary>How many of each of a machine's registrations are in use now (KVM-6).</summary>
/// <param name="MemorySlots">Memory slots.</param>
/// <param name="Doorbells">ioeventfds.</param>
/// <param name="Routes">Message routes, each with a GSI of its own.</param>
/// <param name="IrqFds">Armed irqfds, by message or by level.</param>
public readonly record struct KvmResourceCounts(int MemorySlots, int Doorbells, int Routes, int IrqFds);
