using System;
using System.Text.RegularExpressions;
using Vmm.Kvm;
using Vmm.Kvm.Interop;

namespace Vmm.Tests.Interop;

/// <summary>Everything that we give to and take from /dev/kvm, against linux/kvm.h.</summary>
public sealed partial class KvmHeaderTests
{
    [CompilerFact]
    public void Requests_and_constants_are_those_of_the_header()
    {
        new CHeaderCheck("linux/kvm.h")
            .Constants(typeof(KvmRequests), IsKvm)
            .Constants(typeof(KvmConstants), IsKvm)
            .Run();
    }

    [CompilerFact]
    public void Exit_reasons_are_those_of_the_header()
    {
        var check = new CHeaderCheck("linux/kvm.h");
        foreach (VcpuExitReason reason in Enum.GetValues<VcpuExitReason>())
        {
            // Younger than the headers of Linux 6.1.
            if (reason != VcpuExitReason.MemoryFault)
            {
                check.Equal($"KVM_EXIT_{WordStart().Replace(reason.ToString(), "_").ToUpperInvariant()}", (uint)reason);
            }
        }

        check.Run();
    }

    [CompilerFact]
    public void Registration_structures_have_the_headers_layout()
    {
        new CHeaderCheck("linux/kvm.h")
            .Struct<kvm_userspace_memory_region>("struct kvm_userspace_memory_region")
            .Struct<kvm_irq_level>("struct kvm_irq_level")
            .Struct<kvm_pit_config>("struct kvm_pit_config")
            .Struct<kvm_ioeventfd>("struct kvm_ioeventfd")
            .Struct<kvm_irqfd>("struct kvm_irqfd")
            .Struct<kvm_msi>("struct kvm_msi")
            .Struct<kvm_create_device>("struct kvm_create_device")
            .Struct<kvm_device_attr>("struct kvm_device_attr")
            .Struct<kvm_irq_routing>("struct kvm_irq_routing")
            .Struct<kvm_irq_routing_entry>(
                "struct kvm_irq_routing_entry",
                ("irqchip_irqchip", "u.irqchip.irqchip"),
                ("irqchip_pin", "u.irqchip.pin"),
                ("msi_address_lo", "u.msi.address_lo"),
                ("msi_address_hi", "u.msi.address_hi"),
                ("msi_data", "u.msi.data"))
            .Run();
    }

    [CompilerFact]
    public void Vcpu_structures_have_the_headers_layout()
    {
        new CHeaderCheck("linux/kvm.h")
            .Struct<kvm_regs>("struct kvm_regs")
            .Struct<kvm_segment>("struct kvm_segment")
            .Struct<kvm_dtable>("struct kvm_dtable")
            .Struct<kvm_sregs>("struct kvm_sregs")
            .Struct<kvm_fpu>("struct kvm_fpu")
            .Struct<kvm_lapic_state>("struct kvm_lapic_state")
            .Struct<kvm_mp_state>("struct kvm_mp_state")
            .Struct<kvm_translation>("struct kvm_translation")
            .Struct<kvm_msr_entry>("struct kvm_msr_entry")
            .Struct<kvm_msrs>("struct kvm_msrs")
            .Struct<kvm_cpuid_entry2>("struct kvm_cpuid_entry2")
            .Struct<kvm_cpuid2>("struct kvm_cpuid2")
            .Struct<kvm_signal_mask>("struct kvm_signal_mask")
            .Run();
    }

    [CompilerFact]
    public void The_run_page_has_the_headers_layout()
    {
        new CHeaderCheck("linux/kvm.h")
            .Members<kvm_run>(
                "struct kvm_run",
                ("hw_hardware_exit_reason", "hw.hardware_exit_reason"),
                ("fail_entry_hardware_entry_failure_reason", "fail_entry.hardware_entry_failure_reason"),
                ("fail_entry_cpu", "fail_entry.cpu"),
                ("io_direction", "io.direction"),
                ("io_size", "io.size"),
                ("io_port", "io.port"),
                ("io_count", "io.count"),
                ("io_data_offset", "io.data_offset"),
                ("mmio_phys_addr", "mmio.phys_addr"),
                ("mmio_data", "mmio.data"),
                ("mmio_len", "mmio.len"),
                ("mmio_is_write", "mmio.is_write"),
                ("internal_suberror", "internal.suberror"),
                ("internal_ndata", "internal.ndata"),
                ("internal_data", "internal.data"),
                ("emulation_failure_flags", "emulation_failure.flags"),
                ("emulation_failure_insn_size", "emulation_failure.insn_size"),
                ("emulation_failure_insn_bytes", "emulation_failure.insn_bytes"),
                ("system_event_type", "system_event.type"),
                ("system_event_ndata", "system_event.ndata"),
                ("system_event_data", "system_event.data"))
            .Run();
    }

    [CompilerFact]
    public void Signals_have_the_headers_constants_and_layouts()
    {
        new CHeaderCheck("signal.h", "time.h")
            .Constants(typeof(Signals))
            .Struct<timespec>("struct timespec")
            .Size<sigset_t>("sigset_t")
            .Run();
    }

    [GeneratedRegex("(?<=[a-z])(?=[A-Z])")]
    private static partial Regex WordStart();

    private static bool IsKvm(string name) => name.StartsWith("KVM", StringComparison.Ordinal);
}
