using System.Numerics;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>Register structures to and from the kernel's.</summary>
internal static unsafe class VcpuStateMarshaller
{
    public static VcpuRegisters ToRegisters(in kvm_regs r)
    {
        return new VcpuRegisters
        {
            Rax = r.rax,
            Rbx = r.rbx,
            Rcx = r.rcx,
            Rdx = r.rdx,
            Rsi = r.rsi,
            Rdi = r.rdi,
            Rsp = r.rsp,
            Rbp = r.rbp,
            R8 = r.r8,
            R9 = r.r9,
            R10 = r.r10,
            R11 = r.r11,
            R12 = r.r12,
            R13 = r.r13,
            R14 = r.r14,
            R15 = r.r15,
            Rip = r.rip,
            Rflags = r.rflags,
        };
    }

    public static kvm_regs FromRegisters(in VcpuRegisters r)
    {
        return new kvm_regs
        {
            rax = r.Rax,
            rbx = r.Rbx,
            rcx = r.Rcx,
            rdx = r.Rdx,
            rsi = r.Rsi,
            rdi = r.Rdi,
            rsp = r.Rsp,
            rbp = r.Rbp,
            r8 = r.R8,
            r9 = r.R9,
            r10 = r.R10,
            r11 = r.R11,
            r12 = r.R12,
            r13 = r.R13,
            r14 = r.R14,
            r15 = r.R15,
            rip = r.Rip,
            rflags = r.Rflags,
        };
    }

    public static VcpuSpecialRegisters ToSpecialRegisters(in kvm_sregs s)
    {
        byte? pending = null;
        for (int i = 0; i < 4 && pending is null; i++)
        {
            if (s.interrupt_bitmap[i] != 0)
            {
                pending = (byte)((i * 64) + BitOperations.TrailingZeroCount(s.interrupt_bitmap[i]));
            }
        }

        return new VcpuSpecialRegisters
        {
            Cs = ToSegment(s.cs),
            Ds = ToSegment(s.ds),
            Es = ToSegment(s.es),
            Fs = ToSegment(s.fs),
            Gs = ToSegment(s.gs),
            Ss = ToSegment(s.ss),
            Tr = ToSegment(s.tr),
            Ldt = ToSegment(s.ldt),
            Gdt = new VcpuDescriptorTable(s.gdt.@base, s.gdt.limit),
            Idt = new VcpuDescriptorTable(s.idt.@base, s.idt.limit),
            Cr0 = s.cr0,
            Cr2 = s.cr2,
            Cr3 = s.cr3,
            Cr4 = s.cr4,
            Cr8 = s.cr8,
            Efer = s.efer,
            ApicBase = s.apic_base,
            PendingVector = pending,
        };
    }

    public static kvm_sregs FromSpecialRegisters(in VcpuSpecialRegisters s)
    {
        var result = new kvm_sregs
        {
            cs = FromSegment(s.Cs),
            ds = FromSegment(s.Ds),
            es = FromSegment(s.Es),
            fs = FromSegment(s.Fs),
            gs = FromSegment(s.Gs),
            ss = FromSegment(s.Ss),
            tr = FromSegment(s.Tr),
            ldt = FromSegment(s.Ldt),
            gdt = new kvm_dtable { @base = s.Gdt.Base, limit = s.Gdt.Limit },
            idt = new kvm_dtable { @base = s.Idt.Base, limit = s.Idt.Limit },
            cr0 = s.Cr0,
            cr2 = s.Cr2,
            cr3 = s.Cr3,
            cr4 = s.Cr4,
            cr8 = s.Cr8,
            efer = s.Efer,
            apic_base = s.ApicBase,
        };
        if (s.PendingVector is byte vector)
        {
            result.interrupt_bitmap[vector / 64] = 1UL << (vector % 64);
        }

        return result;
    }

    private static VcpuSegment ToSegment(in kvm_segment s)
    {
        return new VcpuSegment
        {
            Base = s.@base,
            Limit = s.limit,
            Selector = s.selector,
            Type = s.type,
            Present = s.present != 0,
            PrivilegeLevel = s.dpl,
            DefaultBig = s.db != 0,
            CodeOrData = s.s != 0,
            Long = s.l != 0,
            Granularity = s.g != 0,
            Available = s.avl != 0,
            Unusable = s.unusable != 0,
        };
    }

    private static kvm_segment FromSegment(in VcpuSegment s)
    {
        return new kvm_segment
        {
            @base = s.Base,
            limit = s.Limit,
            selector = s.Selector,
            type = s.Type,
            present = Bit(s.Present),
            dpl = s.PrivilegeLevel,
            db = Bit(s.DefaultBig),
            s = Bit(s.CodeOrData),
            l = Bit(s.Long),
            g = Bit(s.Granularity),
            avl = Bit(s.Available),
            unusable = Bit(s.Unusable),
        };
    }

    private static byte Bit(bool value) => value ? (byte)1 : (byte)0;
}
