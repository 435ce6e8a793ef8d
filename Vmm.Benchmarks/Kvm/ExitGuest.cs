using System;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Memory;
using Vmm.Kvm;

namespace Vmm.Benchmarks.Kvm;

/// <summary>A machine whose real-mode guest reads a device's register for ever: each read is an exit.</summary>
internal sealed unsafe class ExitGuest : IDisposable
{
    private const ulong DeviceAddress = 0xC_0000;
    private readonly KvmSystem _system;
    private readonly HostMemory _ram;

    public ExitGuest(IRegionHandler device)
    {
        _system = KvmSystem.Open();
        Machine = _system.CreateVirtualMachine(new KvmVirtualMachineOptions { InterruptController = false });
        _ram = HostMemory.AllocateAnonymous(0x1_0000);
        var domain = new AccessDomain();
        Memory = new AddressSpace(new AddressSpaceOptions { Domain = domain, MemorySlots = Machine.MemorySlots });
        Ports = new AddressSpace(new AddressSpaceOptions { Kind = AddressSpaceKind.Port, Domain = domain });
        Memory.Add(new MemoryClaim("ram", _ram, 0, _ram.Length), 0);
        Memory.Add(new HandlerClaim("device", 0x1000, device), DeviceAddress);

        // mov ax, 0xC000; mov ds, ax; again: mov eax, [0x10]; jmp again
        ReadOnlySpan<byte> code = [0xB8, 0x00, 0xC0, 0x8E, 0xD8, 0x66, 0xA1, 0x10, 0x00, 0xEB, 0xFA];
        code.CopyTo(new Span<byte>(_ram.Pointer + 0x1000, code.Length));
        Vcpu = Machine.CreateVcpu(0);
        Vcpu.SetSpecialRegisters(Vcpu.GetSpecialRegisters() with { Cs = VcpuSegment.RealMode(0, code: true) });
        Vcpu.SetRegisters(new VcpuRegisters { Rip = 0x1000, Rflags = 2 });
    }

    public KvmVirtualMachine Machine { get; }

    public KvmVcpu Vcpu { get; }

    public AddressSpace Memory { get; }

    public AddressSpace Ports { get; }

    public void Dispose()
    {
        Machine.Dispose();
        _ram.Dispose();
        _system.Dispose();
    }
}
