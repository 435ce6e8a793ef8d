using System;
using System.Linq;
using Iced.Intel;
using Vmm.Kvm;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Kvm;

/// <summary>The log line of an access that nobody claims names the guest's instruction.</summary>
[Trait("Behaviour", "BUS-2")]
public sealed class UnclaimedAccessTests
{
    private const uint Nobody = 0xD000_0000;

    [KvmFact]
    public void A_read()
    {
        LineOf(32, a =>
        {
            a.mov(edi, Nobody);
            a.mov(eax, __dword_ptr[edi + 0x24]);
        }).Should().Be("vcpu0 read of 4 bytes at memory 0xD0000024 that nobody claims by 0008:00001005 mov eax,[edi+24h]; 0 more not shown");
    }

    [KvmFact]
    public void A_write_although_the_instruction_pointer_is_behind_it()
    {
        LineOf(32, a =>
        {
            a.mov(edi, Nobody);
            a.mov(__byte_ptr[edi + 8], 0x89);
            a.nop();
        }).Should().Contain("write of 1 bytes at memory 0xD0000008").And.Contain("0008:00001005 mov byte ptr [edi+8],89h");
    }

    [KvmFact]
    public void A_write_from_long_mode_with_a_register_beyond_the_eighth()
    {
        LineOf(64, a =>
        {
            a.mov(r9, (ulong)Nobody);
            a.mov(__qword_ptr[r9 + 0x10], rax);
        }).Should().Contain("write of 8 bytes at memory 0xD0000010").And.Contain("mov [r9+10h],rax");
    }

    [KvmFact]
    public void A_read_with_an_index()
    {
        LineOf(64, a =>
        {
            a.mov(rcx, (ulong)Nobody);
            a.mov(ebx, 4);
            a.add(eax, __dword_ptr[rcx + (rbx * 4) + 0x30]);
        }).Should().Contain("read of 4 bytes at memory 0xD0000040").And.Contain("add eax,[rcx+rbx*4+30h]");
    }

    [KvmFact]
    public void A_read_from_real_mode()
    {
        LineOf(16, a =>
        {
            a.mov(ax, 0xC000);
            a.mov(es, ax);
            a.mov(bx, 0x42);
            a.mov(al, __byte_ptr.es[bx]);
        }).Should().Contain("read of 1 bytes at memory 0xC0042").And.Contain("mov al,es:[bx]");
    }

    [KvmFact]
    public void Ports_in_both_directions()
    {
        LineOf(32, a =>
        {
            a.mov(edx, 0x1F0);
            a.@in(ax, dx);
        }).Should().Contain("read of 2 bytes at ports 0x1F0").And.Contain("in ax,dx");
        LineOf(32, a =>
        {
            a.mov(edx, 0x1F2);
            a.@out(dx, eax);
        }).Should().Contain("write of 4 bytes at ports 0x1F2").And.Contain("out dx,eax");
        LineOf(32, a => a.@out(0x80, al)).Should().Contain("write of 1 bytes at ports 0x80").And.Contain("out 80h,al");
    }

    [KvmFact]
    public void A_flood_is_limited_and_all_of_it_is_counted()
    {
        using var log = new CollectingLoggerFactory();
        using var machine = new TestMachine(loggerFactory: log);
        machine.Load(32, a =>
        {
            a.mov(edi, Nobody);
            a.mov(ecx, 5000);
            Label again = a.CreateLabel();
            a.Label(ref again);
            a.mov(eax, __dword_ptr[edi]);
            a.dec(ecx);
            a.jnz(again);
            AccessExitTests.Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);
        machine.Memory.UnclaimedCounters.Reads.Should().BeGreaterThanOrEqualTo(5000);
        log.Lines.Count(line => line.Contains("nobody claims", StringComparison.Ordinal)).Should().BeInRange(1, 500);
    }

    [Fact]
    public void Outside_of_a_vcpu_the_line_does_without_the_instruction()
    {
        using var log = new CollectingLoggerFactory();
        var space = new Vmm.DeviceModel.Bus.AddressSpace(
            new Vmm.DeviceModel.Bus.AddressSpaceOptions { UnclaimedSink = new VcpuUnclaimedAccessLogger(log), LoggerFactory = log });
        space.Read(0x1234, 2).Should().Be(0xFFFF);
        log.Lines.Should().ContainSingle().Which.Should().Contain("read of 2 bytes at memory 0x1234");
    }

    private static string LineOf(int bits, Action<Assembler> access)
    {
        using var log = new CollectingLoggerFactory();
        using var machine = new TestMachine(loggerFactory: log);
        machine.Load(bits, a =>
        {
            access(a);
            AccessExitTests.Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff, string.Join("\n", log.Lines));
        return log.Lines.First(line => line.Contains("nobody claims", StringComparison.Ordinal));
    }
}
