namespace Vmm.Kvm;

/// <summary>Segments, tables and control registers of a vCPU (KVM_GET_SREGS, KVM_SET_SREGS).</summary>
public record struct VcpuSpecialRegisters
{
    /// <summary>CS.</summary>
    public VcpuSegment Cs { get; set; }

    /// <summary>DS.</summary>
    public VcpuSegment Ds { get; set; }

    /// <summary>ES.</summary>
    public VcpuSegment Es { get; set; }

    /// <summary>FS.</summary>
    public VcpuSegment Fs { get; set; }

    /// <summary>GS.</summary>
    public VcpuSegment Gs { get; set; }

    /// <summary>SS.</summary>
    public VcpuSegment Ss { get; set; }

    /// <summary>Task register.</summary>
    public VcpuSegment Tr { get; set; }

    /// <summary>LDTR.</summary>
    public VcpuSegment Ldt { get; set; }

    /// <summary>GDTR.</summary>
    public VcpuDescriptorTable Gdt { get; set; }

    /// <summary>IDTR.</summary>
    public VcpuDescriptorTable Idt { get; set; }

    /// <summary>CR0.</summary>
    public ulong Cr0 { get; set; }

    /// <summary>CR2.</summary>
    public ulong Cr2 { get; set; }

    /// <summary>CR3.</summary>
    public ulong Cr3 { get; set; }

    /// <summary>CR4.</summary>
    public ulong Cr4 { get; set; }

    /// <summary>CR8.</summary>
    public ulong Cr8 { get; set; }

    /// <summary>EFER.</summary>
    public ulong Efer { get; set; }

    /// <summary>IA32_APIC_BASE.</summary>
    public ulong ApicBase { get; set; }

    /// <summary>The vector that was injected and not yet taken, or null.</summary>
    public byte? PendingVector { get; set; }

    /// <summary>Width of code at CS: 16, 32 or 64 bits.</summary>
    public readonly int CodeBits => (Efer & 0x400) != 0 && Cs.Long ? 64 : Cs.DefaultBig ? 32 : 16;
}
