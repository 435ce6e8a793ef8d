using Vmm.Kvm;

namespace Vmm.Machine.Boot;

/// <summary>Puts vCPUs into the state that a firmware and a boot loader would leave them in.</summary>
internal static class VcpuStartState
{
    private const ulong ProtectedMode = 1 << 0;
    private const ulong ExtensionType = 1 << 4;
    private const ulong Paging = 1UL << 31;
    private const ulong PhysicalAddressExtension = 1 << 5;
    private const ulong LongModeEnabledAndActive = (1 << 8) | (1 << 10);
    private const ulong ReservedFlag = 1 << 1;
    private const ulong Stack = 0x8FF0;
    private const uint MsrMtrrDefaultType = 0x2FF;
    private const ulong MtrrEnabledWriteBack = 0x806;
    private const uint MsrMiscEnable = 0x1A0;
    private const ulong FastStrings = 1;

    /// <summary>What every vCPU gets: memory is write-back where no MTRR says otherwise.</summary>
    public static void ApplyCommon(KvmVcpu vcpu)
    {
        // One by one: a hypervisor that knows one of them not must not lose the other.
        vcpu.SetMsrs([new VcpuMsr(MsrMtrrDefaultType, MtrrEnabledWriteBack)]);
        vcpu.SetMsrs([new VcpuMsr(MsrMiscEnable, FastStrings)]);
    }

    /// <summary>The first vCPU enters the kernel.</summary>
    public static void ApplyEntry(KvmVcpu vcpu, BootState state)
    {
        bool longMode = state.Protocol == BootProtocol.Linux64;
        var data = VcpuSegment.Data(BootLayout.DataSelector);
        VcpuSpecialRegisters special = vcpu.GetSpecialRegisters() with
        {
            Cs = longMode ? VcpuSegment.Code64(BootLayout.CodeSelector) : VcpuSegment.Code32(BootLayout.CodeSelector),
            Ds = data,
            Es = data,
            Fs = data,
            Gs = data,
            Ss = data,
            Tr = VcpuSegment.TaskState(BootLayout.TaskSelector),
            Gdt = new VcpuDescriptorTable(BootLayout.Gdt, (BootLayout.GdtEntries * 8) - 1),
            Idt = new VcpuDescriptorTable(0, 0),
            Cr0 = longMode ? ProtectedMode | ExtensionType | Paging : ProtectedMode | ExtensionType,
            Cr3 = longMode ? BootLayout.PageTables : 0,
            Cr4 = longMode ? PhysicalAddressExtension : 0,
            Efer = longMode ? LongModeEnabledAndActive : 0,
        };
        vcpu.SetSpecialRegisters(special);
        vcpu.SetRegisters(new VcpuRegisters
        {
            Rip = state.EntryPoint,
            Rsi = longMode ? state.Parameters : 0,
            Rbx = longMode ? 0 : state.Parameters,
            Rsp = Stack,
            Rflags = ReservedFlag,
        });
        vcpu.ConnectLegacyInterrupts();
    }
}
