namespace Vmm.Kvm;

/// <summary>What a <see cref="KvmVirtualMachine"/> is made with.</summary>
public sealed record KvmVirtualMachineOptions
{
    /// <summary>
    /// Local APICs, one I/O APIC of 24 pins and two PICs in the kernel. Without them HLT leaves the guest and there are no interrupts.
    /// </summary>
    public bool InterruptController { get; init; } = true;

    /// <summary>An i8254 interval timer in the kernel, with port 0x61; needs <see cref="InterruptController"/>.</summary>
    public bool IntervalTimer { get; init; } = true;

    /// <summary>Guest-physical address of three pages that Intel hosts use for the real-mode task segment; below 4 GiB, no RAM there.</summary>
    public ulong TssAddress { get; init; } = 0xFFFB_D000;

    /// <summary>Guest-physical address of one page that Intel hosts use as an identity page table; below 4 GiB, no RAM there.</summary>
    public ulong IdentityMapAddress { get; init; } = 0xFFFB_C000;
}
