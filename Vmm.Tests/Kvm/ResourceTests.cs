using System;
using System.IO;
using System.Linq;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.DeviceModel.Memory;
using Vmm.Kvm;

namespace Vmm.Tests.Kvm;

/// <summary>Registrations with the real kernel: what is made goes, what fails unwinds.</summary>
public sealed class ResourceTests
{
    [KvmFact]
    [Trait("Behaviour", "KVM-6")]
    [Trait("Category", "Long")]
    public unsafe void A_thousand_devices_later_every_count_is_where_it_was()
    {
        using var system = KvmSystem.Open();
        using KvmVirtualMachine machine = system.CreateVirtualMachine();
        using var memory = HostMemory.AllocateAnonymous(0x1000);
        KvmResourceCounts before = machine.Counts;
        int descriptors = 0;
        for (ulong i = 0; i < 1000; i++)
        {
            using (var bell = new EventFd())
            using (var interrupt = new EventFd())
            using (machine.MemorySlots.Map(0x1_0000_0000 + (i * 0x1000), 0x1000, (nint)memory.Pointer, readOnly: false))
            using (machine.Doorbells.Register(AddressSpaceKind.Memory, 0xD000_0000 + (i * 4), 4, null, bell))
            using (IIrqRoute route = machine.IrqRouting.CreateRoute(interrupt))
            {
                route.Arm(new MsiMessage(0xFEE0_0000, (uint)(32 + (i % 200))));
                machine.Counts.Should().Be(new KvmResourceCounts(1, 1, 1, 1));
                if (i == 0)
                {
                    descriptors = Descriptors();
                }
            }
        }

        machine.Counts.Should().Be(before);

        // Each round had three descriptors more than after it; other tests of this process open some of their own.
        Descriptors().Should().BeLessThan(descriptors + 500);
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-6")]
    public unsafe void Many_registrations_at_once_go_in_any_order()
    {
        using var system = KvmSystem.Open();
        using KvmVirtualMachine machine = system.CreateVirtualMachine();
        using var memory = HostMemory.AllocateAnonymous(0x1000);
        EventFd[] bells = [.. Enumerable.Range(0, 200).Select(_ => new EventFd())];
        IDisposable[] all =
        [
            .. bells.Select((bell, i) => machine.Doorbells.Register(AddressSpaceKind.Memory, 0xD000_0000 + ((ulong)i * 4), 4, null, bell)),
            .. bells.Select(
                (_, i) => machine.MemorySlots.Map(0x1_0000_0000 + ((ulong)i * 0x2000), 0x1000, (nint)memory.Pointer, readOnly: i % 2 == 0)),
        ];
        machine.Counts.Should().Be(new KvmResourceCounts(200, 200, 0, 0));
        new Random(1).Shuffle(all);
        Array.ForEach(all, registration => registration.Dispose());
        machine.Counts.Should().Be(default(KvmResourceCounts));

        // The kernel forgot them too: the same addresses are free again.
        using IDisposable again = machine.Doorbells.Register(AddressSpaceKind.Memory, 0xD000_0000, 4, null, bells[0]);
        using IDisposable slot = machine.MemorySlots.Map(0x1_0000_0000, 0x1000, (nint)memory.Pointer, readOnly: false);
        Array.ForEach(bells, bell => bell.Dispose());
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-9")]
    public unsafe void A_slot_over_another_is_refused_with_its_address()
    {
        using var system = KvmSystem.Open();
        using KvmVirtualMachine machine = system.CreateVirtualMachine();
        using var memory = HostMemory.AllocateAnonymous(0x2000);
        using IDisposable slot = machine.MemorySlots.Map(0x10_0000, 0x2000, (nint)memory.Pointer, readOnly: false);
        Action overlap = () => machine.MemorySlots.Map(0x10_1000, 0x1000, (nint)memory.Pointer, readOnly: false);
        overlap.Should().Throw<HostException>().WithMessage("KVM_SET_USER_MEMORY_REGION*0x101000*overlaps*");
        machine.Counts.MemorySlots.Should().Be(1);
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-9")]
    public void A_machine_that_cannot_be_set_up_names_the_step()
    {
        using var system = KvmSystem.Open();
        Action create = () => system.CreateVirtualMachine(new KvmVirtualMachineOptions { TssAddress = 0xFFFF_FFFF_0000 });
        create.Should().Throw<HostException>().Which.Step.Should().Be("KVM_SET_TSS_ADDR");
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-9")]
    public void A_vcpu_too_many_or_twice_is_refused_with_the_limit()
    {
        using var system = KvmSystem.Open();
        using KvmVirtualMachine machine = system.CreateVirtualMachine();
        machine.CreateVcpu(0);
        machine.Invoking(m => m.CreateVcpu(0)).Should().Throw<HostException>().WithMessage("KVM_CREATE_VCPU*vCPU 0*");
        machine.Invoking(m => m.CreateVcpu(1_000_000)).Should().Throw<HostException>().WithMessage($"*at most {machine.MaxVcpus}*");
        machine.Vcpus.Should().ContainSingle();
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-6")]
    public unsafe void Registrations_disposed_after_their_machine_are_harmless()
    {
        using var system = KvmSystem.Open();
        using var memory = HostMemory.AllocateAnonymous(0x1000);
        using var bell = new EventFd();
        KvmVirtualMachine machine = system.CreateVirtualMachine();
        IDisposable slot = machine.MemorySlots.Map(0, 0x1000, (nint)memory.Pointer, readOnly: false);
        IDisposable doorbell = machine.Doorbells.Register(AddressSpaceKind.Memory, 0xD000_0000, 4, null, bell);
        IIrqRoute route = machine.IrqRouting.CreateRoute(bell);
        route.Arm(new MsiMessage(0xFEE0_0000, 0x40));
        machine.Dispose();
        machine.Dispose();
        slot.Dispose();
        doorbell.Dispose();
        route.Dispose();
        machine.Msi.Send(new MsiMessage(0xFEE0_0000, 0x40), 0).Should().BeFalse();
        machine.InterruptLines.GetLine(3).Invoking(line => line.SetLevel(true)).Should().NotThrow();
        machine.Counts.Should().Be(default(KvmResourceCounts));
    }

    private static int Descriptors() => Directory.GetFileSystemEntries("/proc/self/fd").Length;
}
