using System.Collections.Generic;
using System.Linq;
using Vmm.Kvm;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Kvm;

public sealed class VcpuCpuidTests
{
    private static readonly CpuidEntry[] Amd =
    [
        new(0, 0, false, 0x10, 0x68747541, 0x444D4163, 0x69746E65),
        new(1, 0, false, 0x800F12, 0xFF00_0800, 0x0020_0000, 0x0000_0001),
        new(0x0B, 0, true, 1, 2, 3, 4),
        new(0x8000_0001, 0, false, 0, 0, 0x0040_0000, 0),
        new(0x8000_0008, 0, false, 0x3030, 0, 0xFFFF, 0),
        new(0x8000_001D, 3, true, 0x0001_4163, 0, 0, 0),
        new(0x8000_001E, 0, false, 0xEE, 0xEEEE, 0xEEEE, 0),
    ];

    private static readonly CpuidEntry[] Intel =
    [
        new(0, 0, false, 0x16, 0x756E6547, 0x6C65746E, 0x49656E69),
        new(1, 0, false, 0x50654, 0x0000_0800, 0, 0x1000_0000),
        new(4, 0, true, 0xFFFF_C121, 0, 0, 0),
        new(4, 3, true, 0xFFFF_C163, 0, 0, 0),
        new(4, 4, true, 0, 0, 0, 0),
        new(0x1F, 0, true, 9, 9, 9, 9),
        new(0x8000_0008, 0, false, 0x3030, 0, 0, 0),
    ];

    [Fact]
    public void Leaf_1_has_the_apic_id_the_count_and_the_hypervisor_bit()
    {
        CpuidEntry leaf = Leaf(VcpuCpuid.Build(Intel, 2, 3, tscDeadline: true), 1);
        (leaf.Ebx >> 24).Should().Be(2);
        ((leaf.Ebx >> 16) & 0xFF).Should().Be(4, "three ids need four places");
        (leaf.Ebx & 0xFFFF).Should().Be(0x0800);
        (leaf.Ecx & (1u << 31)).Should().NotBe(0);
        (leaf.Ecx & (1u << 24)).Should().NotBe(0);
        (leaf.Edx & (1u << 28)).Should().NotBe(0);
    }

    [Fact]
    public void One_vcpu_has_no_siblings()
    {
        IReadOnlyList<CpuidEntry> entries = VcpuCpuid.Build(Intel, 0, 1, tscDeadline: false);
        CpuidEntry leaf = Leaf(entries, 1);
        ((leaf.Ebx >> 16) & 0xFF).Should().Be(1);
        (leaf.Edx & (1u << 28)).Should().Be(0);
        (leaf.Ecx & (1u << 24)).Should().Be(0);
        Leaf(entries, 0x0B, 1).Eax.Should().Be(0);
    }

    [Fact]
    public void Topology_leaves_tell_single_threaded_cores_of_one_package()
    {
        IReadOnlyList<CpuidEntry> entries = VcpuCpuid.Build(Amd, 5, 6, tscDeadline: false);
        entries.Count(entry => entry.Function == 0x0B).Should().Be(3);
        Leaf(entries, 0x0B, 0).Should().Be(new CpuidEntry(0x0B, 0, true, 0, 1, 0x100, 5));
        Leaf(entries, 0x0B, 1).Should().Be(new CpuidEntry(0x0B, 1, true, 3, 6, 0x201, 5));
        entries.Should().NotContain(entry => entry.Function == 0x1F);
        VcpuCpuid.Build(Intel, 0, 1, tscDeadline: false).Should().NotContain(entry => entry.Function == 0x1F);
    }

    [Fact]
    public void Amd_leaves_agree_with_the_topology()
    {
        IReadOnlyList<CpuidEntry> entries = VcpuCpuid.Build(Amd, 5, 6, tscDeadline: false);
        Leaf(entries, 0x8000_0008).Ecx.Should().Be(0x3005);
        Leaf(entries, 0x8000_001E).Should().Be(new CpuidEntry(0x8000_001E, 0, false, 5, 5, 0, 0));
        Leaf(entries, 0x8000_0001).Ecx.Should().Be(0x0040_0002);
        ((Leaf(entries, 0x8000_001D, 3).Eax >> 14) & 0xFFF).Should().Be(7);
    }

    [Fact]
    public void Intel_caches_are_shared_at_the_last_level_only()
    {
        IReadOnlyList<CpuidEntry> entries = VcpuCpuid.Build(Intel, 1, 4, tscDeadline: false);
        ((Leaf(entries, 4, 0).Eax >> 14) & 0xFFF).Should().Be(0);
        ((Leaf(entries, 4, 3).Eax >> 14) & 0xFFF).Should().Be(3);
        (Leaf(entries, 4, 3).Eax >> 26).Should().Be(3);
        Leaf(entries, 4, 4).Eax.Should().Be(0);
        Leaf(entries, 0x8000_0008).Ecx.Should().Be(0, "reserved on Intel");
    }

    [KvmFact]
    public void The_guest_sees_its_own_id()
    {
        using var machine = new TestMachine(2) { ExitsWanted = 2 };
        using var system = KvmSystem.Open();
        IReadOnlyList<CpuidEntry> supported = system.GetSupportedCpuid();
        foreach (KvmVcpu vcpu in machine.Machine.Vcpus)
        {
            vcpu.SetCpuid(VcpuCpuid.Build(supported, vcpu.Id, 2, tscDeadline: true));
        }

        machine.Load(32, a =>
        {
            a.mov(eax, 1);
            a.cpuid();
            a.mov(eax, ebx);
            a.shr(eax, 24);
            a.@out((byte)TestMachine.ExitPort, eax);
            Iced.Intel.Label end = a.CreateLabel();
            a.Label(ref end);
            a.jmp(end);
        });
        machine.Run().Kind.Should().Be(VmStopKind.PowerOff);
        machine.ExitCodes.Should().BeEquivalentTo([0u, 1u]);
    }

    private static CpuidEntry Leaf(IReadOnlyList<CpuidEntry> entries, uint function, uint index = 0)
    {
        return entries.Single(entry => entry.Function == function && entry.Index == index);
    }
}
