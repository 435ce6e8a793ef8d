using System;
using Iced.Intel;
using Vmm.DeviceModel.Bus;
using Vmm.Kvm;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Kvm;

/// <summary>An exit allocates nothing: measured on the vCPU's thread, between two accesses to the device.</summary>
public sealed class ExitAllocationTests
{
    private const uint Device = 0xD000_0000;
    private const ushort Port = 0x300;
    private const int Rounds = 3000;

    [KvmFact]
    [Trait("Behaviour", "KVM-1")]
    [Trait("Behaviour", "BUS-5")]
    public void Mmio_and_port_exits_allocate_nothing()
    {
        using var machine = new TestMachine();
        var device = new MeasuringDevice();
        machine.Claim(Device, 0x1000, device);
        machine.ClaimPorts(Port, 4, device);
        machine.Load(32, a =>
        {
            a.mov(ebx, Rounds);
            Label again = a.CreateLabel();
            a.Label(ref again);
            a.mov(eax, __dword_ptr[Device + 8]);
            a.mov(__dword_ptr[Device + 8], eax);
            a.mov(ax, __word_ptr[Device + 0xFFF]);
            a.mov(edx, Port);
            a.@in(eax, dx);
            a.@out(dx, al);
            a.mov(esi, (uint)TestMachine.DataAddress);
            a.mov(ecx, 4);
            a.rep.outsw();
            a.dec(ebx);
            a.jnz(again);
            AccessExitTests.Exit(a);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);
        device.Accesses.Should().BeGreaterThan(Rounds * 8);
        device.AllocatedBetween(Rounds, device.Accesses).Should().Be(0);
        machine.Group.Loops[0].Exits.Should().BeGreaterThan(Rounds * 5);
    }

    private sealed class MeasuringDevice : IRegionHandler
    {
        private readonly long[] _allocated = new long[(Rounds * 12) + 1];

        public int Accesses { get; private set; }

        public long AllocatedBetween(int from, int to) => _allocated[to - 1] - _allocated[from];

        public ulong Read(ulong offset, int width)
        {
            Measure();
            return 0;
        }

        public void Write(ulong offset, int width, ulong value) => Measure();

        private void Measure() => _allocated[Accesses++] = GC.GetAllocatedBytesForCurrentThread();
    }
}
