using System;
using Vmm.Kvm;
using Vmm.Tests.Interop;

namespace Vmm.Tests.Kvm;

/// <summary>The public enumerations that carry the kernel's numbers.</summary>
public sealed class KvmNumbersTests
{
    [CompilerFact]
    public void Capabilities()
    {
        new CHeaderCheck("linux/kvm.h")
            .Equal("KVM_CAP_IRQCHIP", (long)KvmCapability.IrqChip)
            .Equal("KVM_CAP_USER_MEMORY", (long)KvmCapability.UserMemory)
            .Equal("KVM_CAP_SET_TSS_ADDR", (long)KvmCapability.SetTssAddress)
            .Equal("KVM_CAP_EXT_CPUID", (long)KvmCapability.ExtendedCpuid)
            .Equal("KVM_CAP_NR_VCPUS", (long)KvmCapability.RecommendedVcpus)
            .Equal("KVM_CAP_NR_MEMSLOTS", (long)KvmCapability.MemorySlots)
            .Equal("KVM_CAP_IRQ_ROUTING", (long)KvmCapability.IrqRouting)
            .Equal("KVM_CAP_IRQFD", (long)KvmCapability.IrqFd)
            .Equal("KVM_CAP_PIT2", (long)KvmCapability.Pit2)
            .Equal("KVM_CAP_IOEVENTFD", (long)KvmCapability.IoEventFd)
            .Equal("KVM_CAP_SET_IDENTITY_MAP_ADDR", (long)KvmCapability.SetIdentityMapAddress)
            .Equal("KVM_CAP_MAX_VCPUS", (long)KvmCapability.MaxVcpus)
            .Equal("KVM_CAP_TSC_DEADLINE_TIMER", (long)KvmCapability.TscDeadlineTimer)
            .Equal("KVM_CAP_SIGNAL_MSI", (long)KvmCapability.SignalMsi)
            .Equal("KVM_CAP_READONLY_MEM", (long)KvmCapability.ReadOnlyMemory)
            .Equal("KVM_CAP_IRQFD_RESAMPLE", (long)KvmCapability.IrqFdResample)
            .Equal("KVM_CAP_IOEVENTFD_ANY_LENGTH", (long)KvmCapability.IoEventFdAnyLength)
            .Equal("KVM_CAP_MAX_VCPU_ID", (long)KvmCapability.MaxVcpuId)
            .Equal("KVM_CAP_IMMEDIATE_EXIT", (long)KvmCapability.ImmediateExit)
            .Run();
        Enum.GetValues<KvmCapability>().Should().HaveCount(19, "each capability has its line above");
    }

    [CompilerFact]
    public void States_of_a_vcpu()
    {
        new CHeaderCheck("linux/kvm.h")
            .Equal("KVM_MP_STATE_RUNNABLE", (long)VcpuMpState.Runnable)
            .Equal("KVM_MP_STATE_UNINITIALIZED", (long)VcpuMpState.Uninitialized)
            .Equal("KVM_MP_STATE_INIT_RECEIVED", (long)VcpuMpState.InitReceived)
            .Equal("KVM_MP_STATE_HALTED", (long)VcpuMpState.Halted)
            .Equal("KVM_MP_STATE_SIPI_RECEIVED", (long)VcpuMpState.SipiReceived)
            .Run();
    }
}
