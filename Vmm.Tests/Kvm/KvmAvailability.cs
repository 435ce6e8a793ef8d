using System;
using System.Runtime.InteropServices;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Memory;
using Vmm.Kvm;
using Vmm.Kvm.Interop;

namespace Vmm.Tests.Kvm;

/// <summary>Whether this machine's /dev/kvm runs a guest: tried once, with HLT in real mode.</summary>
internal static unsafe class KvmAvailability
{
    private static readonly Lazy<string?> Reason = new(Try);

    /// <summary>Why it does not, or null if it does.</summary>
    public static string? WhyNot => Reason.Value;

    /// <summary>
    /// Why a test is skipped, or null: with VMMDEVICES_REQUIRE_KVM, which build/test sets, none is, and fails where there is no /dev/kvm.
    /// </summary>
    public static string? SkipReason { get; } = Environment.GetEnvironmentVariable("VMMDEVICES_REQUIRE_KVM") is { Length: > 0 } ? null : WhyNot;

    /// <summary>Whether the processor is an emulated one, where an exit takes about 50 µs and everything else is slow: the lab says so.</summary>
    public static bool IsEmulated { get; } = Environment.GetEnvironmentVariable("VMMDEVICES_LAB") is { Length: > 0 };

    /// <summary>How often a long test does what it does.</summary>
    /// <param name="usual">On a real processor.</param>
    /// <param name="emulated">On an emulated one, in about the same time.</param>
    public static int Rounds(int usual, int emulated) => IsEmulated ? emulated : usual;

    /// <summary>A limit for what has to happen: many times what it takes, on an emulated processor too.</summary>
    public static TimeSpan Patience(int seconds) => TimeSpan.FromSeconds(IsEmulated ? 6 * seconds : seconds);

    private static string? Try()
    {
        try
        {
            using var system = KvmSystem.Open();
            using var ram = HostMemory.AllocateAnonymous(0x1_0000);
            using KvmVirtualMachine machine = system.CreateVirtualMachine(new KvmVirtualMachineOptions { InterruptController = false });
            using IDisposable slot = machine.MemorySlots.Map(0, ram.Length, (nint)ram.Pointer, readOnly: false);
            KvmVcpu vcpu = machine.CreateVcpu(0);
            ram.Pointer[0x1000] = 0xF4;
            VcpuSpecialRegisters special = vcpu.GetSpecialRegisters();
            special.Cs = VcpuSegment.RealMode(0, code: true);
            vcpu.SetSpecialRegisters(special);
            vcpu.SetRegisters(new VcpuRegisters { Rip = 0x1000, Rflags = 2 });
            int result = KvmCall.Raw(vcpu.Descriptor.Number, KvmRequests.KVM_RUN, 0);
            if (result < 0)
            {
                return $"KVM_RUN fails on this machine: errno {Marshal.GetLastSystemError()}";
            }

            var exit = (VcpuExitReason)vcpu.RunPage->exit_reason;
            return exit == VcpuExitReason.Hlt ? null : $"HLT ends with {exit} on this machine";
        }
        catch (HostException e)
        {
            return $"no usable /dev/kvm: {e.Message}";
        }
    }
}
