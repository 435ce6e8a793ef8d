using System.Runtime.InteropServices;

namespace Vmm.Kvm.Interop;

[StructLayout(LayoutKind.Sequential)]
internal struct kvm_userspace_memory_region
{
    public uint slot;
    public uint flags;
    public ulong guest_phys_addr;
    public ulong memory_size;
    public ulong userspace_addr;
}

[StructLayout(LayoutKind.Sequential)]
internal struct kvm_irq_level
{
    public uint irq;
    public uint level;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_pit_config
{
    public uint flags;
    public fixed uint pad[15];
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_ioeventfd
{
    public ulong datamatch;
    public ulong addr;
    public uint len;
    public int fd;
    public uint flags;
    public fixed byte pad[36];
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_irqfd
{
    public uint fd;
    public uint gsi;
    public uint flags;
    public uint resamplefd;
    public fixed byte pad[16];
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_msi
{
    public uint address_lo;
    public uint address_hi;
    public uint data;
    public uint flags;
    public uint devid;
    public fixed byte pad[12];
}

/// <summary>One row of the GSI table; the union holds an irqchip pin or a message.</summary>
[StructLayout(LayoutKind.Explicit, Size = 48)]
internal struct kvm_irq_routing_entry
{
    [FieldOffset(0)]
    public uint gsi;

    [FieldOffset(4)]
    public uint type;

    [FieldOffset(8)]
    public uint flags;

    [FieldOffset(12)]
    public uint pad;

    [FieldOffset(16)]
    public uint irqchip_irqchip;

    [FieldOffset(20)]
    public uint irqchip_pin;

    [FieldOffset(16)]
    public uint msi_address_lo;

    [FieldOffset(20)]
    public uint msi_address_hi;

    [FieldOffset(24)]
    public uint msi_data;
}

/// <summary>Header of the table; the entries follow it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_irq_routing
{
    public uint nr;
    public uint flags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct kvm_create_device
{
    public uint type;
    public uint fd;
    public uint flags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct kvm_device_attr
{
    public uint flags;
    public uint group;
    public ulong attr;
    public ulong addr;
}
