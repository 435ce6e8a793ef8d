namespace Vmm.Kvm;

/// <summary>What <see cref="KvmSystem.CheckExtension"/> can be asked about (KVM_CAP_*, Documentation/virt/kvm/api.rst).</summary>
public enum KvmCapability
{
    /// <summary>KVM_CAP_IRQCHIP: local APICs, I/O APIC and PICs in the kernel.</summary>
    IrqChip = 0,

    /// <summary>KVM_CAP_USER_MEMORY: memory slots over host memory.</summary>
    UserMemory = 3,

    /// <summary>KVM_CAP_SET_TSS_ADDR.</summary>
    SetTssAddress = 4,

    /// <summary>KVM_CAP_EXT_CPUID: CPUID entries with sub-leaves.</summary>
    ExtendedCpuid = 7,

    /// <summary>KVM_CAP_NR_VCPUS: recommended number of vCPUs.</summary>
    RecommendedVcpus = 9,

    /// <summary>KVM_CAP_NR_MEMSLOTS: number of memory slots.</summary>
    MemorySlots = 10,

    /// <summary>KVM_CAP_IRQ_ROUTING: number of GSI routes.</summary>
    IrqRouting = 25,

    /// <summary>KVM_CAP_IRQFD.</summary>
    IrqFd = 32,

    /// <summary>KVM_CAP_PIT2: interval timer in the kernel.</summary>
    Pit2 = 33,

    /// <summary>KVM_CAP_IOEVENTFD.</summary>
    IoEventFd = 36,

    /// <summary>KVM_CAP_SET_IDENTITY_MAP_ADDR.</summary>
    SetIdentityMapAddress = 37,

    /// <summary>KVM_CAP_MAX_VCPUS: number of vCPUs of one machine.</summary>
    MaxVcpus = 66,

    /// <summary>KVM_CAP_TSC_DEADLINE_TIMER: the local APIC's TSC-deadline mode.</summary>
    TscDeadlineTimer = 72,

    /// <summary>KVM_CAP_SIGNAL_MSI.</summary>
    SignalMsi = 77,

    /// <summary>KVM_CAP_READONLY_MEM: read-only memory slots.</summary>
    ReadOnlyMemory = 81,

    /// <summary>KVM_CAP_IRQFD_RESAMPLE: level-triggered irqfds.</summary>
    IrqFdResample = 82,

    /// <summary>KVM_CAP_IOEVENTFD_ANY_LENGTH: ioeventfds of length 0.</summary>
    IoEventFdAnyLength = 122,

    /// <summary>KVM_CAP_MAX_VCPU_ID: exclusive limit of vCPU ids.</summary>
    MaxVcpuId = 128,

    /// <summary>KVM_CAP_IMMEDIATE_EXIT.</summary>
    ImmediateExit = 136,
}
