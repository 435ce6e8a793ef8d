using System;
using System.IO;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Machine;

/// <summary>Kernels of a few instructions, in the two formats that a machine boots.</summary>
internal static class TinyKernel
{
    public const ushort Serial = 0x3F8;
    private const ulong PvhEntry = 0x100_0040;
    private const ulong BzEntry = 0x100_0200;

    /// <summary>An ELF kernel: entered in 32-bit protected mode, EBX points at the start information.</summary>
    public static byte[] Pvh(Action<Assembler> write)
    {
        byte[] code = Assemble(32, PvhEntry, write);
        return KernelBuilder.Vmlinux(image => code.CopyTo(image, 0x1040));
    }

    /// <summary>A bzImage: entered in long mode, RSI points at the boot parameters.</summary>
    public static byte[] Linux64(Action<Assembler> write)
    {
        byte[] code = Assemble(64, BzEntry, write);
        return KernelBuilder.BzImage(change: image => code.CopyTo(image, KernelBuilder.CodeOffset + 0x200));
    }

    /// <summary>Transmits characters.</summary>
    public static void Print(this Assembler c, string text)
    {
        c.mov(dx, Serial);
        foreach (char character in text)
        {
            c.mov(al, (byte)character);
            c.@out(dx, al);
        }
    }

    /// <summary>Transmits characters for ever.</summary>
    public static void Chatter(this Assembler c)
    {
        Label again = c.CreateLabel();
        c.mov(dx, Serial);
        c.mov(al, (byte)'.');
        c.Label(ref again);
        c.@out(dx, al);
        c.jmp(again);
    }

    /// <summary>
    /// Switches the power indicators of root ports on, which says that their slots are in use (PCI Express 5.0, 6.7.1.1.2): those of devices 2 to 9, by
    /// configuration mechanism 1.
    /// </summary>
    public static void UseSlots(this Assembler c)
    {
        const uint SlotControl = 0x48 + 0x18;
        const ushort PowerIndicatorOn = 1 << 8;
        for (uint device = 2; device < 10; device++)
        {
            c.mov(dx, 0xCF8);
            c.mov(eax, 0x8000_0000 | (device << 11) | SlotControl);
            c.@out(dx, eax);
            c.mov(dx, 0xCFC);
            c.mov(ax, PowerIndicatorOn);
            c.@out(dx, ax);
        }
    }

    /// <summary>Transmits EAX, lowest byte first.</summary>
    public static void PrintEax(this Assembler c)
    {
        c.mov(dx, Serial);
        for (int i = 0; i < 4; i++)
        {
            c.@out(dx, al);
            c.shr(eax, 8);
        }
    }

    /// <summary>Writes a byte to a port.</summary>
    public static void Out8(this Assembler c, ushort port, byte value)
    {
        c.mov(dx, port);
        c.mov(al, value);
        c.@out(dx, al);
    }

    /// <summary>Enters S5 by PM1 control, and waits for it.</summary>
    public static void PowerOff(this Assembler c)
    {
        c.mov(dx, (ushort)0x604);
        c.mov(ax, (ushort)((5 << 10) | (1 << 13)));
        c.@out(dx, ax);
        c.Spin();
    }

    /// <summary>Prints <c>up</c>, waits until the power button is pressed, prints <c>!</c> and enters S5.</summary>
    public static void PowerOffAtTheButton(this Assembler c)
    {
        c.Print("up");
        Label look = c.CreateLabel();
        c.Label(ref look);
        c.pause();
        c.mov(dx, (ushort)0x600);
        c.@in(ax, dx);
        c.test(ax, 0x100);
        c.je(look);
        c.Print("!");
        c.PowerOff();
    }

    /// <summary>Loops for ever.</summary>
    public static void Spin(this Assembler c)
    {
        Label here = c.CreateLabel();
        c.Label(ref here);
        c.pause();
        c.jmp(here);
    }

    private static byte[] Assemble(int bits, ulong address, Action<Assembler> write)
    {
        var assembler = new Assembler(bits);
        write(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), address);
        return stream.ToArray();
    }
}
