using System;
using Vmm.DeviceModel;
using Vmm.Kvm;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Kvm;

/// <summary>Guests that end by themselves, and what is said about it.</summary>
[Trait("Behaviour", "KVM-1")]
public sealed class EndOfGuestTests
{
    [KvmFact]
    public void A_triple_fault_is_reported_with_registers()
    {
        using var machine = new TestMachine();
        machine.Load(32, a =>
        {
            a.mov(eax, 0x1234ABCD);
            a.ud2();
        });

        // An interrupt table of no entries: the invalid instruction cannot be delivered, nor what follows from that.
        KvmVcpu vcpu = machine.Machine.Vcpus[0];
        vcpu.SetSpecialRegisters(vcpu.GetSpecialRegisters() with { Idt = new VcpuDescriptorTable(0, 0) });
        VmStopReason reason = machine.Run();
        reason.Kind.Should().Be(VmStopKind.TripleFault);
        reason.VcpuId.Should().Be(0);
        reason.Message.Should().Contain("triple fault").And.Contain("rip=");
    }

    [KvmFact]
    public void One_vcpus_end_is_everybodys()
    {
        using var machine = new TestMachine(2);
        machine.Load(32, a =>
        {
            Iced.Intel.Label again = a.CreateLabel();
            a.Label(ref again);
            a.jmp(again);
        });
        machine.Load(32, a => a.ud2(), 0x3000, vcpu: 1);
        KvmVcpu vcpu = machine.Machine.Vcpus[1];
        vcpu.SetSpecialRegisters(vcpu.GetSpecialRegisters() with { Idt = new VcpuDescriptorTable(0, 0) });
        VmStopReason reason = machine.Run();
        reason.Kind.Should().Be(VmStopKind.TripleFault);
        reason.VcpuId.Should().Be(1);
    }

    [KvmFact]
    public void Code_where_no_memory_is_ends_with_an_internal_error_that_says_where()
    {
        using var machine = new TestMachine();
        machine.Load(32, a =>
        {
            a.mov(eax, 0xD000_0000);
            a.jmp(eax);
        });
        VmStopReason reason = machine.Run();
        reason.Kind.Should().BeOneOf(VmStopKind.InternalError, VmStopKind.TripleFault);
        reason.Message.Should().Contain("d0000000").And.Contain("no memory at rip");
    }

    [KvmFact]
    public void Registers_that_no_processor_accepts_are_refused_or_reported()
    {
        using var machine = new TestMachine();
        machine.Load(32, a => a.hlt());
        KvmVcpu vcpu = machine.Machine.Vcpus[0];
        VcpuSpecialRegisters special = vcpu.GetSpecialRegisters();

        // Long mode active without paging.
        Action set = () => vcpu.SetSpecialRegisters(special with { Cr0 = 0x11, Efer = 0x500, Cr4 = 0x20 });
        var refusal = Record.Exception(set) as HostException;
        if (refusal is not null)
        {
            refusal.Step.Should().Be("KVM_SET_SREGS");
            return;
        }

        machine.Group.Start();
        machine.Group.Completion.Wait(KvmAvailability.Patience(5)).Should().BeTrue();
        machine.Group.Completion.Result.Kind.Should().Be(VmStopKind.InternalError);
    }

    [KvmFact]
    public void A_device_that_throws_does_not_end_the_vcpu()
    {
        using var machine = new TestMachine();
        machine.ClaimPorts(0x300, 4, new ThrowingDevice());
        machine.Load(32, a =>
        {
            a.mov(edx, 0x300);
            a.@in(eax, dx);
            a.mov(__dword_ptr[(uint)TestMachine.DataAddress], eax);
            AccessExitTests.Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);
        machine.ReadUInt32(TestMachine.DataAddress).Should().Be(0xFFFF_FFFF);
    }

    private sealed class ThrowingDevice : Vmm.DeviceModel.Bus.IRegionHandler
    {
        public ulong Read(ulong offset, int width) => throw new InvalidOperationException("broken device");

        public void Write(ulong offset, int width, ulong value) => throw new InvalidOperationException("broken device");
    }
}
