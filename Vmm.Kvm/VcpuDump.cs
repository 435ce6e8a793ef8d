using System;
using System.Globalization;
using System.Text;
using Iced.Intel;
using Vmm.DeviceModel;

namespace Vmm.Kvm;

/// <summary>A stopped vCPU's state as text: registers and the next instructions.</summary>
internal static class VcpuDump
{
    private const int MaxInstructions = 4;

    /// <summary>Never throws: what cannot be read is said so. Only on the vCPU's thread, or while it does not run.</summary>
    public static string Describe(KvmVcpu vcpu)
    {
        try
        {
            VcpuRegisters r = vcpu.GetRegisters();
            VcpuSpecialRegisters s = vcpu.GetSpecialRegisters();
            var text = new StringBuilder();
            text.Append(
                CultureInfo.InvariantCulture,
                $"  rip={s.Cs.Selector:x4}:{r.Rip:x16} rflags={r.Rflags:x8} {s.CodeBits}-bit "
                + $"cr0={s.Cr0:x} cr2={s.Cr2:x} cr3={s.Cr3:x} cr4={s.Cr4:x} efer={s.Efer:x}\n");
            text.Append(CultureInfo.InvariantCulture, $"  rax={r.Rax:x16} rbx={r.Rbx:x16} rcx={r.Rcx:x16} rdx={r.Rdx:x16}\n");
            text.Append(CultureInfo.InvariantCulture, $"  rsi={r.Rsi:x16} rdi={r.Rdi:x16} rbp={r.Rbp:x16} rsp={r.Rsp:x16}\n");
            text.Append(CultureInfo.InvariantCulture, $"  r8 ={r.R8:x16} r9 ={r.R9:x16} r10={r.R10:x16} r11={r.R11:x16}\n");
            text.Append(CultureInfo.InvariantCulture, $"  r12={r.R12:x16} r13={r.R13:x16} r14={r.R14:x16} r15={r.R15:x16}\n");
            text.Append(
                CultureInfo.InvariantCulture,
                $"  cs={s.Cs.Base:x} ss={s.Ss.Base:x} ds={s.Ds.Base:x} es={s.Es.Base:x} "
                + $"gdt={s.Gdt.Base:x}+{s.Gdt.Limit:x} idt={s.Idt.Base:x}+{s.Idt.Limit:x}");
            AppendCode(text, vcpu, r, s);
            return text.ToString();
        }
        catch (HostException e)
        {
            return $"  (registers cannot be read: {e.Message})";
        }
    }

    private static void AppendCode(StringBuilder text, KvmVcpu vcpu, in VcpuRegisters r, in VcpuSpecialRegisters s)
    {
        Span<byte> code = stackalloc byte[15 * MaxInstructions];
        int available = GuestCode.Read(vcpu, GuestCode.LinearOf(s, r.Rip), code);
        if (available == 0)
        {
            text.Append("\n  (no memory at rip)");
            return;
        }

        var decoder = Iced.Intel.Decoder.Create(s.CodeBits, new ByteArrayCodeReader(code[..available].ToArray()), r.Rip);
        for (int i = 0; i < MaxInstructions && decoder.IP - r.Rip < (ulong)available; i++)
        {
            Instruction instruction = decoder.Decode();
            text.Append(CultureInfo.InvariantCulture, $"\n  {instruction.IP:x}: {GuestCode.Format(instruction)}");
            if (instruction.IsInvalid)
            {
                break;
            }
        }
    }
}
