using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Interop;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>A virtual processor: its registers and the page that it shares with us.</summary>
/// <remarks>
/// State is set before the vCPU runs and read while it is paused; a call that meets a running vCPU waits until it leaves the guest.
/// A <see cref="VcpuRunLoop"/> runs it. Disposed with its machine, not while it runs.
/// </remarks>
public sealed unsafe class KvmVcpu : IDisposable
{
    private readonly FileDescriptor _descriptor;
    private readonly int _mapSize;
    private kvm_run* _run;

    private KvmVcpu(FileDescriptor descriptor, int id, kvm_run* run, int mapSize, KvmVirtualMachine machine)
    {
        _descriptor = descriptor;
        Id = id;
        _run = run;
        _mapSize = mapSize;
        Machine = machine;
    }

    /// <summary>The vCPU's id and initial local APIC id.</summary>
    public int Id { get; }

    /// <summary>The machine that it belongs to.</summary>
    public KvmVirtualMachine Machine { get; }

    /// <summary>Whether it executes or waits; needs interrupt controllers.</summary>
    /// <exception cref="HostException">The kernel refused.</exception>
    public VcpuMpState MpState
    {
        get
        {
            kvm_mp_state state = default;
            Call(KvmRequests.KVM_GET_MP_STATE, &state, "KVM_GET_MP_STATE");
            return (VcpuMpState)state.mp_state;
        }

        set
        {
            var state = new kvm_mp_state { mp_state = (uint)value };
            Call(KvmRequests.KVM_SET_MP_STATE, &state, "KVM_SET_MP_STATE");
        }
    }

    /// <summary>The shared page.</summary>
    internal kvm_run* RunPage => _run;

    /// <summary>Size of the shared area in bytes.</summary>
    internal int MapSize => _mapSize;

    /// <summary>For the run loop, which holds a reference on it while it runs.</summary>
    internal FileDescriptor Descriptor => _descriptor;

    /// <summary>Set by the run loop for as long as its thread lives.</summary>
    internal bool IsRunning { get; set; }

    /// <summary>Reads the general registers.</summary>
    /// <exception cref="HostException">The kernel refused.</exception>
    public VcpuRegisters GetRegisters()
    {
        kvm_regs registers;
        Call(KvmRequests.KVM_GET_REGS, &registers, "KVM_GET_REGS");
        return VcpuStateMarshaller.ToRegisters(registers);
    }

    /// <summary>Writes the general registers.</summary>
    /// <param name="registers">All of them.</param>
    /// <exception cref="HostException">The kernel refused.</exception>
    public void SetRegisters(in VcpuRegisters registers)
    {
        kvm_regs native = VcpuStateMarshaller.FromRegisters(registers);
        Call(KvmRequests.KVM_SET_REGS, &native, "KVM_SET_REGS");
    }

    /// <summary>Reads segments, tables and control registers.</summary>
    /// <exception cref="HostException">The kernel refused.</exception>
    public VcpuSpecialRegisters GetSpecialRegisters()
    {
        kvm_sregs registers;
        Call(KvmRequests.KVM_GET_SREGS, &registers, "KVM_GET_SREGS");
        return VcpuStateMarshaller.ToSpecialRegisters(registers);
    }

    /// <summary>
    /// Writes segments, tables and control registers. Start from <see cref="GetSpecialRegisters"/>, so that APIC base and the like stay.
    /// </summary>
    /// <param name="registers">All of them.</param>
    /// <exception cref="HostException">The kernel refused, for example an invalid combination of modes.</exception>
    public void SetSpecialRegisters(in VcpuSpecialRegisters registers)
    {
        kvm_sregs native = VcpuStateMarshaller.FromSpecialRegisters(registers);
        Call(KvmRequests.KVM_SET_SREGS, &native, "KVM_SET_SREGS");
    }

    /// <summary>Sets what CPUID answers; before the vCPU runs. See <see cref="VcpuCpuid"/>.</summary>
    /// <param name="entries">All leaves.</param>
    /// <exception cref="HostException">The kernel refused.</exception>
    public void SetCpuid(IReadOnlyList<CpuidEntry> entries)
    {
        ArgumentNullException.ThrowIfNull(entries);
        void* buffer = NativeMemory.AllocZeroed((nuint)CpuidMarshaller.SizeOf(entries.Count));
        try
        {
            CpuidMarshaller.Fill(entries, (kvm_cpuid2*)buffer);
            Call(KvmRequests.KVM_SET_CPUID2, buffer, "KVM_SET_CPUID2");
        }
        finally
        {
            NativeMemory.Free(buffer);
        }
    }

    /// <summary>Reads model-specific registers.</summary>
    /// <param name="indices">Their numbers, at most 256.</param>
    /// <returns>As many as the hypervisor knows, in order: it stops at the first that it does not.</returns>
    /// <exception cref="HostException">The kernel refused.</exception>
    public VcpuMsr[] GetMsrs(ReadOnlySpan<uint> indices)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(indices.Length, 256);
        byte* buffer = stackalloc byte[sizeof(kvm_msrs) + (indices.Length * sizeof(kvm_msr_entry))];
        var header = (kvm_msrs*)buffer;
        *header = new kvm_msrs { nmsrs = (uint)indices.Length };
        var entries = new Span<kvm_msr_entry>(header + 1, indices.Length);
        for (int i = 0; i < indices.Length; i++)
        {
            entries[i] = new kvm_msr_entry { index = indices[i] };
        }

        int count = Call(KvmRequests.KVM_GET_MSRS, buffer, "KVM_GET_MSRS");
        var result = new VcpuMsr[count];
        for (int i = 0; i < count; i++)
        {
            result[i] = new VcpuMsr(entries[i].index, entries[i].data);
        }

        return result;
    }

    /// <summary>Writes model-specific registers.</summary>
    /// <param name="msrs">Registers and values, at most 256.</param>
    /// <returns>How many were written: the hypervisor stops at the first that it refuses.</returns>
    /// <exception cref="HostException">The kernel refused.</exception>
    public int SetMsrs(ReadOnlySpan<VcpuMsr> msrs)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(msrs.Length, 256);
        byte* buffer = stackalloc byte[sizeof(kvm_msrs) + (msrs.Length * sizeof(kvm_msr_entry))];
        var header = (kvm_msrs*)buffer;
        *header = new kvm_msrs { nmsrs = (uint)msrs.Length };
        var entries = new Span<kvm_msr_entry>(header + 1, msrs.Length);
        for (int i = 0; i < msrs.Length; i++)
        {
            entries[i] = new kvm_msr_entry { index = msrs[i].Index, data = msrs[i].Value };
        }

        return Call(KvmRequests.KVM_SET_MSRS, buffer, "KVM_SET_MSRS");
    }

    /// <summary>Reads the local APIC's register page.</summary>
    /// <param name="registers">1024 bytes; register at offset n of the page at index n.</param>
    /// <exception cref="HostException">The kernel refused.</exception>
    public void GetLocalApic(Span<byte> registers)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(registers.Length, KvmConstants.KVM_APIC_REG_SIZE);
        fixed (byte* pointer = registers)
        {
            Call(KvmRequests.KVM_GET_LAPIC, pointer, "KVM_GET_LAPIC");
        }
    }

    /// <summary>Writes the local APIC's register page.</summary>
    /// <param name="registers">1024 bytes, from <see cref="GetLocalApic"/>.</param>
    /// <exception cref="HostException">The kernel refused.</exception>
    public void SetLocalApic(ReadOnlySpan<byte> registers)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(registers.Length, KvmConstants.KVM_APIC_REG_SIZE);
        fixed (byte* pointer = registers)
        {
            Call(KvmRequests.KVM_SET_LAPIC, pointer, "KVM_SET_LAPIC");
        }
    }

    /// <summary>
    /// Wires the local APIC as firmware leaves it: LINT0 takes the PICs' interrupts (ExtINT), LINT1 takes NMI (Intel MP specification 3.6.2.2).
    /// </summary>
    /// <exception cref="HostException">The kernel refused.</exception>
    public void ConnectLegacyInterrupts()
    {
        const int LvtLint0 = 0x350;
        const int LvtLint1 = 0x360;
        const uint ExtInt = 0x700;
        const uint Nmi = 0x400;
        Span<byte> registers = stackalloc byte[KvmConstants.KVM_APIC_REG_SIZE];
        GetLocalApic(registers);
        MemoryMarshal.Write(registers[LvtLint0..], ExtInt);
        MemoryMarshal.Write(registers[LvtLint1..], Nmi);
        SetLocalApic(registers);
    }

    /// <summary>Gives x87 and SSE their state after FNINIT: all exceptions masked, extended precision.</summary>
    /// <exception cref="HostException">The kernel refused.</exception>
    public void ResetFloatingPoint()
    {
        var state = new kvm_fpu { fcw = 0x37F, mxcsr = 0x1F80 };
        Call(KvmRequests.KVM_SET_FPU, &state, "KVM_SET_FPU");
    }

    /// <summary>Translates a linear address through the guest's page tables.</summary>
    /// <param name="linear">Linear address.</param>
    /// <param name="physical">Guest-physical address.</param>
    /// <returns>False if it is not mapped, or the kernel refused.</returns>
    public bool TryTranslate(ulong linear, out ulong physical)
    {
        var translation = new kvm_translation { linear_address = linear };
        int result = KvmCall.Try(_descriptor, KvmRequests.KVM_TRANSLATE, &translation);
        physical = translation.physical_address;
        return result >= 0 && translation.valid != 0;
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">A run loop still runs it.</exception>
    public void Dispose()
    {
        if (IsRunning)
        {
            throw new InvalidOperationException($"vCPU {Id} is running: stop its run loop first");
        }

        if (_run is not null)
        {
            _ = Libc.munmap(_run, (nuint)_mapSize);
            _run = null;
        }

        _descriptor.Dispose();
    }

    internal static KvmVcpu Create(FileDescriptor descriptor, int id, int mapSize, KvmVirtualMachine machine)
    {
        void* map = Libc.mmap(null, (nuint)mapSize, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, descriptor.Number, 0);
        if (map == (void*)-1)
        {
            int errno = Marshal.GetLastPInvokeError();
            descriptor.Dispose();
            throw KvmCall.Failure("mmap", errno, $"mapping the shared page of vCPU {id}");
        }

        return new KvmVcpu(descriptor, id, (kvm_run*)map, mapSize, machine);
    }

    /// <summary>Blocks and unblocks signals while in the guest only (KVM_SET_SIGNAL_MASK).</summary>
    internal void SetSignalMask(ulong kernelMask)
    {
        byte* buffer = stackalloc byte[sizeof(kvm_signal_mask) + sizeof(ulong)];
        ((kvm_signal_mask*)buffer)->len = sizeof(ulong);
        *(ulong*)(buffer + sizeof(kvm_signal_mask)) = kernelMask;
        Call(KvmRequests.KVM_SET_SIGNAL_MASK, buffer, "KVM_SET_SIGNAL_MASK");
    }

    private int Call(uint request, void* argument, string step)
    {
        return KvmCall.Do(_descriptor, request, argument, step, $"vCPU {Id}");
    }
}
