using System;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Kvm;

/// <summary>A 32-bit guest that takes interrupts: counts each vector in memory, acknowledges, and halts between them.</summary>
internal static class InterruptGuest
{
    public const uint LocalApic = 0xFEE0_0000;
    public const uint IoApic = 0xFEC0_0000;
    private const ulong Handlers = 0x4000;
    private const ulong Idle = 0x3800;
    private const ulong Counters = 0x3_0000;
    private const ulong Ready = 0x3_F000;

    /// <summary>How often a vector was taken.</summary>
    public static uint Count(TestMachine machine, byte vector) => machine.ReadUInt32(Counters + (4u * vector));

    /// <summary>True once the vCPU takes interrupts.</summary>
    public static bool IsReady(TestMachine machine, int vcpu = 0) => machine.ReadUInt32(Ready + (4u * (uint)vcpu)) != 0;

    /// <summary>Loads the guest for every vCPU.</summary>
    /// <param name="machine">With interrupt controllers.</param>
    /// <param name="vectors">Which vectors have handlers.</param>
    /// <param name="beforeAcknowledge">More of a handler: runs with the counter's new value in EAX.</param>
    /// <param name="setUp">More set-up, before interrupts are enabled.</param>
    public static void Load(TestMachine machine, byte[] vectors, Action<Assembler>? beforeAcknowledge = null, Action<Assembler>? setUp = null)
    {
        foreach (byte vector in vectors)
        {
            ulong handler = Handlers + (0x80u * (uint)(vector - 0x20));
            machine.SetInterruptHandler(vector, handler);
            machine.Assemble(32, a => Handler(a, vector, beforeAcknowledge), handler);
        }

        machine.Assemble(32, Idling, Idle);
        for (int i = 0; i < machine.Machine.Vcpus.Count; i++)
        {
            int vcpu = i;
            machine.Load(32, a => Body(a, vcpu, setUp), TestMachine.CodeAddress + (0x400u * (uint)i), vcpu);
        }
    }

    /// <summary>Programs an I/O APIC pin as level-triggered to vCPU 0.</summary>
    public static void RouteLevelPin(Assembler a, int pin, byte vector)
    {
        a.mov(__dword_ptr[IoApic], 0x10 + (2 * pin));
        a.mov(__dword_ptr[IoApic + 0x10], 0x8000 | vector);
        a.mov(__dword_ptr[IoApic], 0x11 + (2 * pin));
        a.mov(__dword_ptr[IoApic + 0x10], 0);
    }

    private static void Handler(Assembler a, byte vector, Action<Assembler>? beforeAcknowledge)
    {
        a.push(eax);
        a.push(edx);
        a.mov(eax, 1);
        a.@lock.xadd(__dword_ptr[Counters + (4u * vector)], eax);
        a.inc(eax);
        beforeAcknowledge?.Invoke(a);
        a.mov(__dword_ptr[LocalApic + 0xB0], 0);

        // Not IRET: a hypervisor without hardware help may not emulate it in protected mode. Drop what was pushed and idle again.
        a.add(esp, 8 + 12);
        a.jmp(Idle);
    }

    private static void Body(Assembler a, int vcpu, Action<Assembler>? setUp)
    {
        // LINT0 masked, for the PICs are not set up; the local APIC software-enabled, spurious vector 0xFF.
        a.mov(__dword_ptr[LocalApic + 0x350], 0x1_0000);
        a.mov(__dword_ptr[LocalApic + 0xF0], 0x1FF);
        setUp?.Invoke(a);
        a.mov(__dword_ptr[Ready + (4u * (uint)vcpu)], 1);
        a.jmp(Idle);
    }

    private static void Idling(Assembler a)
    {
        a.sti();
        a.hlt();
        a.jmp(Idle);
    }
}
