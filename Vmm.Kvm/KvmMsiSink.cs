using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>Messages to the guest's local APICs (KVM_SIGNAL_MSI). No GSI is spent, nothing is allocated, nothing is locked here.</summary>
public sealed unsafe class KvmMsiSink : IMsiSink
{
    private readonly IVmCalls _calls;

    internal KvmMsiSink(IVmCalls calls) => _calls = calls;

    /// <inheritdoc/>
    /// <remarks>False if the guest masks the vector, no local APIC matches, or the machine is gone.</remarks>
    public bool Send(in MsiMessage message, uint requesterId)
    {
        var msi = new kvm_msi
        {
            address_lo = (uint)message.Address,
            address_hi = (uint)(message.Address >> 32),
            data = message.Data,
        };
        return _calls.Call(KvmRequests.KVM_SIGNAL_MSI, &msi) > 0;
    }
}
