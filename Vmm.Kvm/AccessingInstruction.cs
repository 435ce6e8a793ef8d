using System;
using Iced.Intel;
using Vmm.DeviceModel;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>Finds the instruction behind the MMIO or port exit that a vCPU is in.</summary>
/// <remarks>
/// KVM reports a read with RIP at the instruction and, for most writes, with RIP after it already. So the instruction at RIP and
/// those that would end at RIP are candidates; the one that accesses the address of the exit in its direction wins.
/// </remarks>
internal static unsafe class AccessingInstruction
{
    private const int MaxLength = 15;

    /// <summary>On the vCPU's thread, in an MMIO or port exit. Never throws.</summary>
    /// <returns>Address and text, for example <c>0008:00001000 mov eax,[edi]</c>, or null if it cannot be told.</returns>
    public static string? Describe(KvmVcpu vcpu)
    {
        try
        {
            return Find(vcpu);
        }
        catch (HostException)
        {
            return null;
        }
    }

    private static string? Find(KvmVcpu vcpu)
    {
        VcpuRegisters registers = vcpu.GetRegisters();
        VcpuSpecialRegisters special = vcpu.GetSpecialRegisters();
        ulong linear = GuestCode.LinearOf(special, registers.Rip);
        Span<byte> code = stackalloc byte[2 * MaxLength];
        int before = ReadBefore(vcpu, linear, code[..MaxLength]);
        int after = GuestCode.Read(vcpu, linear, code[MaxLength..]);

        Instruction best = default;
        int bestScore = 0;
        for (int back = 0; back <= before; back++)
        {
            byte[] bytes = code[(MaxLength - back)..(MaxLength + (back == 0 ? after : 0))].ToArray();
            var decoder = Decoder.Create(special.CodeBits, new ByteArrayCodeReader(bytes), unchecked(registers.Rip - (ulong)back));
            Instruction candidate = decoder.Decode();
            if (candidate.IsInvalid || (back > 0 && candidate.Length != back))
            {
                continue;
            }

            int score = Score(vcpu, candidate, registers, special);
            if (score > bestScore || (score == bestScore && score > 0 && back > 0))
            {
                best = candidate;
                bestScore = score;
            }
        }

        return bestScore == 0
            ? $"{special.Cs.Selector:x4}:{registers.Rip:x8}"
            : $"{special.Cs.Selector:x4}:{best.IP:x8} {GuestCode.Format(best)}";
    }

    /// <summary>Reads what lies before an address, towards lower addresses until something is missing.</summary>
    private static int ReadBefore(KvmVcpu vcpu, ulong linear, Span<byte> destination)
    {
        for (int length = (int)Math.Min((ulong)destination.Length, linear); length > 0; length--)
        {
            if (GuestCode.Read(vcpu, linear - (ulong)length, destination[^length..]) == length)
            {
                return length;
            }
        }

        return 0;
    }

    private static int Score(KvmVcpu vcpu, in Instruction candidate, VcpuRegisters registers, VcpuSpecialRegisters special)
    {
        kvm_run* run = vcpu.RunPage;
        if ((VcpuExitReason)run->exit_reason == VcpuExitReason.Io)
        {
            return MatchesPort(candidate, run->io_direction == KvmConstants.KVM_EXIT_IO_OUT) ? 2 : 0;
        }

        OpAccess wanted = run->mmio_is_write != 0 ? OpAccess.Write : OpAccess.Read;
        int score = 0;
        foreach (UsedMemory memory in new InstructionInfoFactory().GetInfo(candidate).GetUsedMemory())
        {
            if (!Accesses(memory.Access, wanted))
            {
                continue;
            }

            score = Math.Max(score, 1);
            bool known = memory.TryGetVirtualAddress(
                0, out ulong address,
                (Register register, int _, int _, out ulong value) => RegisterValue.TryGet(register, registers, special, out value));
            int size = Math.Max(memory.MemorySize.GetSize(), 1);
            if (known && TouchesExit(vcpu, address, size))
            {
                return 3;
            }
        }

        return score;
    }

    private static bool TouchesExit(KvmVcpu vcpu, ulong address, int size)
    {
        ulong target = vcpu.RunPage->mmio_phys_addr;
        if (vcpu.TryTranslate(address, out ulong first) && target - first < (ulong)size)
        {
            return true;
        }

        // The exit may be the second half of an access that crosses a page.
        return vcpu.TryTranslate(address + (ulong)size - 1, out ulong last) && last - target < (ulong)size;
    }

    private static bool Accesses(OpAccess access, OpAccess wanted)
    {
        return access switch
        {
            OpAccess.ReadWrite or OpAccess.ReadCondWrite => true,
            OpAccess.Read or OpAccess.CondRead => wanted == OpAccess.Read,
            OpAccess.Write or OpAccess.CondWrite => wanted == OpAccess.Write,
            _ => false,
        };
    }

    private static bool MatchesPort(in Instruction candidate, bool isWrite)
    {
        return candidate.Mnemonic switch
        {
            Mnemonic.Out or Mnemonic.Outsb or Mnemonic.Outsw or Mnemonic.Outsd => isWrite,
            Mnemonic.In or Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd => !isWrite,
            _ => false,
        };
    }
}
