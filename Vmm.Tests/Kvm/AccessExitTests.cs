using System;
using System.Linq;
using Iced.Intel;
using Vmm.Kvm;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Kvm;

/// <summary>Every width and direction of MMIO and port accesses, from a guest to a device.</summary>
public sealed class AccessExitTests
{
    private const uint Device = 0xD000_0000;
    private const ushort Port = 0x300;

    [KvmFact]
    [Trait("Behaviour", "KVM-1")]
    [Trait("Behaviour", "BUS-4")]
    public void Mmio_reads_and_writes_of_1_2_and_4_bytes()
    {
        using var machine = new TestMachine();
        var device = new RecordingDevice();
        machine.Claim(Device, 0x1000, device);
        machine.Load(32, a =>
        {
            a.mov(edi, Device);
            a.mov(esi, (uint)TestMachine.DataAddress);
            a.mov(al, __byte_ptr[edi + 1]);
            a.mov(__byte_ptr[esi], al);
            a.mov(ax, __word_ptr[edi + 2]);
            a.mov(__word_ptr[esi + 4], ax);
            a.mov(eax, __dword_ptr[edi + 8]);
            a.mov(__dword_ptr[esi + 8], eax);
            a.mov(__byte_ptr[edi + 3], 0x5A);
            a.mov(__word_ptr[edi + 6], unchecked((short)0xBEEF));
            a.mov(__dword_ptr[edi + 12], unchecked((int)0xDEADBEEF));
            a.mov(eax, 0x12345678);
            a.mov(__dword_ptr[edi + 16], eax);
            a.movzx(eax, __byte_ptr[edi + 20]);
            a.mov(__dword_ptr[esi + 12], eax);
            Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);

        device.Log.Should().Equal("R1 1", "R2 2", "R4 8", "W1 3=5A", "W2 6=BEEF", "W4 C=DEADBEEF", "W4 10=12345678", "R1 14");
        machine.Bytes[(int)TestMachine.DataAddress].Should().Be(2);
        machine.ReadUInt32(TestMachine.DataAddress + 4).Should().Be(0x0403);
        machine.ReadUInt32(TestMachine.DataAddress + 8).Should().Be(0x0C0B0A09);
        machine.ReadUInt32(TestMachine.DataAddress + 12).Should().Be(0x15);
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-1")]
    public void Mmio_of_8_bytes_from_long_mode()
    {
        using var machine = new TestMachine();
        var device = new RecordingDevice();
        machine.Claim(Device, 0x1000, device);
        machine.Load(64, a =>
        {
            a.mov(rdi, (ulong)Device);
            a.mov(rax, __qword_ptr[rdi + 8]);
            a.mov(__qword_ptr[TestMachine.DataAddress], rax);
            a.mov(rax, 0x1122334455667788);
            a.mov(__qword_ptr[rdi + 16], rax);
            Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);

        device.Log.Should().Equal("R8 8", "W8 10=1122334455667788");
        machine.ReadUInt64(TestMachine.DataAddress).Should().Be(0x100F0E0D0C0B0A09);
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-1")]
    public void Mmio_from_real_mode()
    {
        using var machine = new TestMachine();
        var device = new RecordingDevice();
        machine.Claim(0xC_0000, 0x1000, device);
        machine.Load(16, a =>
        {
            a.mov(ax, 0xC000);
            a.mov(ds, ax);
            a.mov(bx, 0x10);
            a.mov(al, __byte_ptr[bx]);
            a.mov(__byte_ptr[bx + 1], al);
            a.mov(eax, __dword_ptr[bx + 4]);
            a.mov(__dword_ptr[bx + 8], eax);
            Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);
        device.Log.Should().Equal("R1 10", "W1 11=11", "R4 14", "W4 18=18171615");
    }

    [KvmFact]
    [Trait("Behaviour", "BUS-3")]
    [Trait("Behaviour", "BUS-4")]
    public void Mmio_across_a_page_reaches_both_devices_in_aligned_pieces()
    {
        using var machine = new TestMachine();
        var low = new RecordingDevice();
        var high = new RecordingDevice();
        machine.Claim(Device, 0x1000, low);
        machine.Claim(Device + 0x1000, 0x1000, high);
        machine.Load(32, a =>
        {
            a.mov(edi, Device + 0x1000);
            a.mov(eax, __dword_ptr[edi - 1]);
            a.mov(__dword_ptr[(uint)TestMachine.DataAddress], eax);
            a.mov(__dword_ptr[edi - 3], 0x44332211);
            Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);

        Bytes(low, 'R').Should().Equal([0xFFF]);
        Bytes(high, 'R').Should().Equal([0, 1, 2]);
        Bytes(low, 'W').Should().Equal([0xFFD, 0xFFE, 0xFFF]);
        Bytes(high, 'W').Should().Equal([0]);
        low.Log.Concat(high.Log).Should().OnlyContain(line => IsAligned(line));

        // Byte 0xFFF of the first reads 0x00 (0x1000 truncated), bytes 0 to 2 of the second 1, 2, 3.
        machine.ReadUInt32(TestMachine.DataAddress).Should().Be(0x03020100);
    }

    [KvmFact]
    [Trait("Behaviour", "BUS-4")]
    public void Mmio_of_8_bytes_across_a_page_arrives_complete()
    {
        using var machine = new TestMachine();
        var device = new RecordingDevice();
        machine.Claim(Device, 0x2000, device);
        machine.Load(64, a =>
        {
            a.mov(rdi, (ulong)Device + 0x1000);
            for (int back = 1; back < 8; back++)
            {
                a.mov(rax, __qword_ptr[rdi - back]);
                a.mov(__qword_ptr[TestMachine.DataAddress + (ulong)(8 * back)], rax);
            }

            Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);
        for (int back = 1; back < 8; back++)
        {
            machine.ReadUInt64(TestMachine.DataAddress + (ulong)(8 * back)).Should().Be(
                RecordingDevice.Pattern(0x1000 - (ulong)back, 8), $"{back} bytes before the page's end");
        }

        device.Log.Should().OnlyContain(line => IsAligned(line));
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-1")]
    [Trait("Behaviour", "BUS-9")]
    public void Port_reads_and_writes_of_every_width()
    {
        using var machine = new TestMachine();
        var device = new RecordingDevice();
        machine.ClaimPorts(Port, 0x10, device);
        machine.Load(32, a =>
        {
            a.mov(edx, Port);
            a.@in(al, dx);
            a.mov(__byte_ptr[(uint)TestMachine.DataAddress], al);
            a.mov(edx, Port + 2);
            a.@in(ax, dx);
            a.mov(__word_ptr[(uint)TestMachine.DataAddress + 4], ax);
            a.mov(edx, Port + 4);
            a.@in(eax, dx);
            a.mov(__dword_ptr[(uint)TestMachine.DataAddress + 8], eax);
            a.mov(eax, 0x44332211);
            a.@out(dx, al);
            a.@out(dx, ax);
            a.@out(dx, eax);
            Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);

        device.Log.Should().Equal("R1 0", "R2 2", "R4 4", "W1 4=11", "W2 4=2211", "W4 4=44332211");
        machine.ReadUInt32(TestMachine.DataAddress).Should().Be(0x01);
        machine.ReadUInt32(TestMachine.DataAddress + 4).Should().Be(0x0403);
        machine.ReadUInt32(TestMachine.DataAddress + 8).Should().Be(0x08070605);
    }

    [KvmTheory]
    [Trait("Behaviour", "KVM-1")]
    [Trait("Behaviour", "BUS-9")]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void String_port_writes_arrive_element_by_element(int width)
    {
        const int Count = 5;
        using var machine = new TestMachine();
        var device = new RecordingDevice();
        machine.ClaimPorts(Port, 4, device);
        for (int i = 0; i < Count * width; i++)
        {
            machine.Bytes[(int)TestMachine.DataAddress + i] = (byte)(0x10 + i);
        }

        machine.Load(32, a =>
        {
            a.mov(esi, (uint)TestMachine.DataAddress);
            a.mov(ecx, Count);
            a.mov(edx, Port);
            a.cld();
            _ = width switch { 1 => Do(() => a.rep.outsb()), 2 => Do(() => a.rep.outsw()), _ => Do(() => a.rep.outsd()) };
            Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);

        device.Log.Should().Equal(Enumerable.Range(0, Count).Select(i => FormattableString.Invariant($"W{width} 0={Element(i, width):X}")));
    }

    [KvmTheory]
    [Trait("Behaviour", "KVM-1")]
    [Trait("Behaviour", "BUS-9")]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void String_port_reads_fill_memory_element_by_element(int width)
    {
        const int Count = 600;
        using var machine = new TestMachine();
        var device = new CountingDevice();
        machine.ClaimPorts(Port, 4, device);
        machine.Load(32, a =>
        {
            a.mov(edi, (uint)TestMachine.DataAddress);
            a.mov(ecx, Count);
            a.mov(edx, Port);
            a.cld();
            _ = width switch { 1 => Do(() => a.rep.insb()), 2 => Do(() => a.rep.insw()), _ => Do(() => a.rep.insd()) };
            Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);

        // The kernel may fetch ahead for a REP INS, but never gives the guest an element twice or none.
        device.Reads.Should().BeGreaterThanOrEqualTo(Count);
        ulong mask = ulong.MaxValue >> (64 - (8 * width));
        for (int i = 0; i < Count; i++)
        {
            (machine.ReadUInt32(TestMachine.DataAddress + (ulong)(i * width)) & mask).Should().Be((ulong)(i + 1) & mask);
        }
    }

    [KvmFact]
    [Trait("Behaviour", "BUS-2")]
    [Trait("Behaviour", "BUS-9")]
    public void Accesses_that_nobody_claims_read_all_ones()
    {
        using var machine = new TestMachine();
        machine.Load(32, a =>
        {
            a.mov(esi, (uint)TestMachine.DataAddress);
            a.mov(edi, Device);
            a.mov(__dword_ptr[edi], 1);
            a.mov(al, __byte_ptr[edi]);
            a.mov(__byte_ptr[esi], al);
            a.mov(ax, __word_ptr[edi]);
            a.mov(__word_ptr[esi + 4], ax);
            a.mov(eax, __dword_ptr[edi]);
            a.mov(__dword_ptr[esi + 8], eax);
            a.mov(edx, 0x1F0);
            a.@out(dx, eax);
            a.xor(eax, eax);
            a.@in(al, dx);
            a.mov(__dword_ptr[esi + 12], eax);
            a.xor(eax, eax);
            a.@in(ax, dx);
            a.mov(__dword_ptr[esi + 16], eax);
            a.@in(eax, dx);
            a.mov(__dword_ptr[esi + 20], eax);
            Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);
        uint[] expected = [0xFF, 0xFFFF, 0xFFFF_FFFF, 0xFF, 0xFFFF, 0xFFFF_FFFF];
        Enumerable.Range(0, 6).Select(i => machine.ReadUInt32(TestMachine.DataAddress + (ulong)(4 * i))).Should().Equal(expected);
        machine.Memory.UnclaimedCounters.Reads.Should().BeGreaterThanOrEqualTo(3);
        machine.Memory.UnclaimedCounters.Writes.Should().Be(1);
        machine.Ports.UnclaimedCounters.Reads.Should().Be(3);
        machine.Ports.UnclaimedCounters.Writes.Should().Be(1);
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-8")]
    public void A_write_to_a_read_only_slot_leaves_the_guest_and_changes_nothing()
    {
        using var machine = new TestMachine();
        using var rom = Vmm.DeviceModel.Memory.HostMemory.AllocateAnonymous(0x1000);
        unsafe
        {
            *(uint*)rom.Pointer = 0x600DF00D;
        }

        machine.Memory.Add(new Vmm.DeviceModel.Bus.MemoryClaim("rom", rom, 0, 0x1000, readOnly: true), 0xE_0000);
        machine.Load(32, a =>
        {
            a.mov(edi, 0xE_0000);
            a.mov(__dword_ptr[edi], 0x0BAD0BAD);
            a.mov(eax, __dword_ptr[edi]);
            a.mov(__dword_ptr[(uint)TestMachine.DataAddress], eax);
            Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);
        machine.ReadUInt32(TestMachine.DataAddress).Should().Be(0x600DF00D);
        machine.Machine.Counts.MemorySlots.Should().Be(2);
    }

    internal static void Exit(Assembler a) => a.@out((byte)TestMachine.ExitPort, al);

    private static int Do(Action action)
    {
        action();
        return 0;
    }

    private static uint Element(int index, int width)
    {
        uint value = 0;
        for (int i = width - 1; i >= 0; i--)
        {
            value = (value << 8) | (byte)(0x10 + (index * width) + i);
        }

        return value;
    }

    private static int[] Bytes(RecordingDevice device, char direction)
    {
        return
        [
            .. device.Log.Where(line => line[0] == direction)
                .SelectMany(line => Enumerable.Range(Offset(line), Width(line)))
                .Order(),
        ];
    }

    private static bool IsAligned(string line) => Width(line) is 1 or 2 or 4 or 8 && Offset(line) % Width(line) == 0;

    private static int Width(string line) => line[1] - '0';

    private static int Offset(string line) => Convert.ToInt32(line[3..].Split('=')[0], 16);

    private sealed class CountingDevice : Vmm.DeviceModel.Bus.IRegionHandler
    {
        public int Reads { get; private set; }

        public ulong Read(ulong offset, int width) => (ulong)++Reads;

        public void Write(ulong offset, int width, ulong value)
        {
        }
    }
}
