namespace Vmm.Kvm;

/// <summary>What CPUID answers for one leaf and sub-leaf.</summary>
/// <param name="Function">Leaf (EAX).</param>
/// <param name="Index">Sub-leaf (ECX); counts only if <paramref name="IndexIsSignificant"/>.</param>
/// <param name="IndexIsSignificant">True if the leaf has sub-leaves.</param>
/// <param name="Eax">Answer in EAX.</param>
/// <param name="Ebx">Answer in EBX.</param>
/// <param name="Ecx">Answer in ECX.</param>
/// <param name="Edx">Answer in EDX.</param>
public readonly record struct CpuidEntry(uint Function, uint Index, bool IndexIsSignificant, uint Eax, uint Ebx, uint Ecx, uint Edx);
