using Iced.Intel;
using Vmm.DeviceModel.Bus;

namespace Vmm.Kvm;

/// <summary>Values of a stopped vCPU's registers for address calculation; segment registers give their base.</summary>
internal static class RegisterValue
{
    public static bool TryGet(Register register, in VcpuRegisters r, in VcpuSpecialRegisters s, out ulong value)
    {
        switch (register)
        {
            case Register.CS:
                value = s.CodeBits == 64 ? 0 : s.Cs.Base;
                return true;
            case Register.DS:
                value = s.CodeBits == 64 ? 0 : s.Ds.Base;
                return true;
            case Register.ES:
                value = s.CodeBits == 64 ? 0 : s.Es.Base;
                return true;
            case Register.SS:
                value = s.CodeBits == 64 ? 0 : s.Ss.Base;
                return true;
            case Register.FS:
                value = s.Fs.Base;
                return true;
            case Register.GS:
                value = s.Gs.Base;
                return true;
            default:
                return TryGetGeneral(register, r, out value);
        }
    }

    private static bool TryGetGeneral(Register register, in VcpuRegisters r, out ulong value)
    {
        ulong? full = register.GetFullRegister() switch
        {
            Register.RAX => r.Rax,
            Register.RBX => r.Rbx,
            Register.RCX => r.Rcx,
            Register.RDX => r.Rdx,
            Register.RSI => r.Rsi,
            Register.RDI => r.Rdi,
            Register.RSP => r.Rsp,
            Register.RBP => r.Rbp,
            Register.R8 => r.R8,
            Register.R9 => r.R9,
            Register.R10 => r.R10,
            Register.R11 => r.R11,
            Register.R12 => r.R12,
            Register.R13 => r.R13,
            Register.R14 => r.R14,
            Register.R15 => r.R15,
            _ => null,
        };
        value = full ?? 0;
        int size = register.GetSize();
        if (size is 1 or 2 or 4)
        {
            value &= AccessWidth.Mask(size);
        }

        return full is not null;
    }
}
