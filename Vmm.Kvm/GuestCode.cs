using System;
using Iced.Intel;

namespace Vmm.Kvm;

/// <summary>Reads and prints guest code.</summary>
internal static class GuestCode
{
    private const ulong PageSize = 4096;

    /// <summary>Linear address of an instruction pointer.</summary>
    public static ulong LinearOf(in VcpuSpecialRegisters special, ulong rip)
    {
        return special.CodeBits == 64 ? rip : (special.Cs.Base + rip) & 0xFFFF_FFFF;
    }

    /// <summary>Reads linear memory through the guest's page tables.</summary>
    /// <returns>How many bytes were there.</returns>
    public static int Read(KvmVcpu vcpu, ulong linear, Span<byte> destination)
    {
        int done = 0;
        while (done < destination.Length)
        {
            ulong address = unchecked(linear + (ulong)done);
            if (!vcpu.TryTranslate(address, out ulong physical))
            {
                break;
            }

            int piece = (int)Math.Min((ulong)(destination.Length - done), PageSize - (address % PageSize));
            int read = vcpu.Machine.MemorySlots.Read(physical, destination.Slice(done, piece));
            done += read;
            if (read < piece)
            {
                break;
            }
        }

        return done;
    }

    /// <summary>An instruction as text, Intel syntax.</summary>
    public static string Format(in Instruction instruction)
    {
        var output = new StringOutput();
        new IntelFormatter().Format(instruction, output);
        return output.ToStringAndReset();
    }
}
