namespace Vmm.Kvm.Interop;

/// <summary>Flags and enumerators of linux/kvm.h and asm/kvm.h, under the headers' names.</summary>
internal static class KvmConstants
{
    public const int KVM_API_VERSION = 12;

    public const uint KVM_MEM_READONLY = 1 << 1;

    public const uint KVM_PIT_SPEAKER_DUMMY = 1;

    public const uint KVM_IOEVENTFD_FLAG_DATAMATCH = 1 << 0;
    public const uint KVM_IOEVENTFD_FLAG_PIO = 1 << 1;
    public const uint KVM_IOEVENTFD_FLAG_DEASSIGN = 1 << 2;

    public const uint KVM_IRQFD_FLAG_DEASSIGN = 1 << 0;
    public const uint KVM_IRQFD_FLAG_RESAMPLE = 1 << 1;

    public const uint KVM_IRQ_ROUTING_IRQCHIP = 1;
    public const uint KVM_IRQ_ROUTING_MSI = 2;

    public const uint KVM_IRQCHIP_PIC_MASTER = 0;
    public const uint KVM_IRQCHIP_PIC_SLAVE = 1;
    public const uint KVM_IRQCHIP_IOAPIC = 2;
    public const int KVM_IOAPIC_NUM_PINS = 24;

    public const uint KVM_CPUID_FLAG_SIGNIFCANT_INDEX = 1 << 0;

    public const byte KVM_EXIT_IO_IN = 0;
    public const byte KVM_EXIT_IO_OUT = 1;

    public const uint KVM_INTERNAL_ERROR_EMULATION = 1;
    public const uint KVM_INTERNAL_ERROR_SIMUL_EX = 2;
    public const uint KVM_INTERNAL_ERROR_DELIVERY_EV = 3;
    public const uint KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON = 4;
    public const ulong KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES = 1;

    public const uint KVM_SYSTEM_EVENT_SHUTDOWN = 1;
    public const uint KVM_SYSTEM_EVENT_RESET = 2;
    public const uint KVM_SYSTEM_EVENT_CRASH = 3;

    public const uint KVM_DEV_TYPE_VFIO = 4;

    // Newer headers say FILE for GROUP: since Linux 6.6 a device that was opened by itself can be named too.
    public const uint KVM_DEV_VFIO_GROUP = 1;
    public const uint KVM_DEV_VFIO_GROUP_ADD = 1;
    public const uint KVM_DEV_VFIO_GROUP_DEL = 2;

    public const int KVM_APIC_REG_SIZE = 0x400;
}
