namespace Vmm.Kvm.Interop;

/// <summary>The ioctl requests of linux/kvm.h that this assembly uses, under the header's names.</summary>
internal static unsafe class KvmRequests
{
    private const uint KVMIO = 0xAE;

    // System: /dev/kvm.
    public static readonly uint KVM_GET_API_VERSION = Ioc.Io(KVMIO, 0x00);
    public static readonly uint KVM_CREATE_VM = Ioc.Io(KVMIO, 0x01);
    public static readonly uint KVM_CHECK_EXTENSION = Ioc.Io(KVMIO, 0x03);
    public static readonly uint KVM_GET_VCPU_MMAP_SIZE = Ioc.Io(KVMIO, 0x04);
    public static readonly uint KVM_GET_SUPPORTED_CPUID = Ioc.Iowr(KVMIO, 0x05, sizeof(kvm_cpuid2));

    // Virtual machine.
    public static readonly uint KVM_CREATE_VCPU = Ioc.Io(KVMIO, 0x41);
    public static readonly uint KVM_SET_USER_MEMORY_REGION = Ioc.Iow(KVMIO, 0x46, sizeof(kvm_userspace_memory_region));
    public static readonly uint KVM_SET_TSS_ADDR = Ioc.Io(KVMIO, 0x47);
    public static readonly uint KVM_SET_IDENTITY_MAP_ADDR = Ioc.Iow(KVMIO, 0x48, sizeof(ulong));
    public static readonly uint KVM_CREATE_IRQCHIP = Ioc.Io(KVMIO, 0x60);
    public static readonly uint KVM_IRQ_LINE = Ioc.Iow(KVMIO, 0x61, sizeof(kvm_irq_level));
    public static readonly uint KVM_SET_GSI_ROUTING = Ioc.Iow(KVMIO, 0x6a, sizeof(kvm_irq_routing));
    public static readonly uint KVM_IRQFD = Ioc.Iow(KVMIO, 0x76, sizeof(kvm_irqfd));
    public static readonly uint KVM_CREATE_PIT2 = Ioc.Iow(KVMIO, 0x77, sizeof(kvm_pit_config));
    public static readonly uint KVM_IOEVENTFD = Ioc.Iow(KVMIO, 0x79, sizeof(kvm_ioeventfd));
    public static readonly uint KVM_SIGNAL_MSI = Ioc.Iow(KVMIO, 0xa5, sizeof(kvm_msi));
    public static readonly uint KVM_CREATE_DEVICE = Ioc.Iowr(KVMIO, 0xe0, sizeof(kvm_create_device));

    // Device of a virtual machine.
    public static readonly uint KVM_SET_DEVICE_ATTR = Ioc.Iow(KVMIO, 0xe1, sizeof(kvm_device_attr));

    // vCPU.
    public static readonly uint KVM_RUN = Ioc.Io(KVMIO, 0x80);
    public static readonly uint KVM_GET_REGS = Ioc.Ior(KVMIO, 0x81, sizeof(kvm_regs));
    public static readonly uint KVM_SET_REGS = Ioc.Iow(KVMIO, 0x82, sizeof(kvm_regs));
    public static readonly uint KVM_GET_SREGS = Ioc.Ior(KVMIO, 0x83, sizeof(kvm_sregs));
    public static readonly uint KVM_SET_SREGS = Ioc.Iow(KVMIO, 0x84, sizeof(kvm_sregs));
    public static readonly uint KVM_TRANSLATE = Ioc.Iowr(KVMIO, 0x85, sizeof(kvm_translation));
    public static readonly uint KVM_GET_MSRS = Ioc.Iowr(KVMIO, 0x88, sizeof(kvm_msrs));
    public static readonly uint KVM_SET_MSRS = Ioc.Iow(KVMIO, 0x89, sizeof(kvm_msrs));
    public static readonly uint KVM_SET_SIGNAL_MASK = Ioc.Iow(KVMIO, 0x8b, sizeof(kvm_signal_mask));
    public static readonly uint KVM_GET_FPU = Ioc.Ior(KVMIO, 0x8c, sizeof(kvm_fpu));
    public static readonly uint KVM_SET_FPU = Ioc.Iow(KVMIO, 0x8d, sizeof(kvm_fpu));
    public static readonly uint KVM_GET_LAPIC = Ioc.Ior(KVMIO, 0x8e, sizeof(kvm_lapic_state));
    public static readonly uint KVM_SET_LAPIC = Ioc.Iow(KVMIO, 0x8f, sizeof(kvm_lapic_state));
    public static readonly uint KVM_SET_CPUID2 = Ioc.Iow(KVMIO, 0x90, sizeof(kvm_cpuid2));
    public static readonly uint KVM_GET_MP_STATE = Ioc.Ior(KVMIO, 0x98, sizeof(kvm_mp_state));
    public static readonly uint KVM_SET_MP_STATE = Ioc.Iow(KVMIO, 0x99, sizeof(kvm_mp_state));
}
