namespace Vmm.Kvm;

/// <summary>Why KVM_RUN came back (KVM_EXIT_*): the reasons that an x86 machine of this library can see.</summary>
internal enum VcpuExitReason : uint
{
    Unknown = 0,
    Exception = 1,
    Io = 2,
    Hypercall = 3,
    Debug = 4,
    Hlt = 5,
    Mmio = 6,
    IrqWindowOpen = 7,
    Shutdown = 8,
    FailEntry = 9,
    Intr = 10,
    SetTpr = 11,
    TprAccess = 12,
    Nmi = 16,
    InternalError = 17,
    SystemEvent = 24,
    MemoryFault = 39,
}
