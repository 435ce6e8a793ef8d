namespace Vmm.Kvm;

/// <summary>GDTR or IDTR.</summary>
/// <param name="Base">Linear address.</param>
/// <param name="Limit">Size in bytes less one.</param>
public readonly record struct VcpuDescriptorTable(ulong Base, ushort Limit);
