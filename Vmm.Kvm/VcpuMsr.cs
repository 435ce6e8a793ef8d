namespace Vmm.Kvm;

/// <summary>A model-specific register and its value.</summary>
/// <param name="Index">Number, as RDMSR takes it in ECX.</param>
/// <param name="Value">Its 64 bits.</param>
public readonly record struct VcpuMsr(uint Index, ulong Value);
