namespace Vmm.Machine.Boot;

/// <summary>What the first vCPU is given to start a loaded kernel.</summary>
/// <param name="Protocol">Which processor mode and which register.</param>
/// <param name="EntryPoint">First instruction, guest-physical (identity-mapped in long mode).</param>
/// <param name="Parameters">The boot parameters (RSI) or the PVH start information (EBX).</param>
/// <param name="KernelStart">First byte that the kernel was loaded to.</param>
/// <param name="KernelEnd">First byte after what the kernel needs to run from there.</param>
/// <param name="InitramfsStart">First byte of the initramfs; 0 without one.</param>
/// <param name="InitramfsLength">Bytes of the initramfs; 0 without one.</param>
public sealed record BootState(
    BootProtocol Protocol,
    ulong EntryPoint,
    ulong Parameters,
    ulong KernelStart,
    ulong KernelEnd,
    ulong InitramfsStart,
    ulong InitramfsLength);
