using System;
using System.Globalization;
using System.Threading;
using Vmm.DeviceModel.Bus;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>Turns an exit into bus accesses, or into the reason why the vCPU cannot go on (KVM-1).</summary>
/// <remarks>Used by the vCPU's thread alone. Allocates nothing and takes no lock on an access.</remarks>
internal sealed unsafe class VcpuExitDispatcher
{
    private readonly KvmVcpu _vcpu;
    private readonly AddressSpace _memory;
    private readonly AddressSpace _ports;
    private readonly kvm_run* _run;
    private long _exits;

    public VcpuExitDispatcher(KvmVcpu vcpu, AddressSpace memory, AddressSpace ports)
    {
        _vcpu = vcpu;
        _memory = memory;
        _ports = ports;
        _run = vcpu.RunPage;
    }

    public long Exits => Volatile.Read(ref _exits);

    /// <summary>Why the vCPU cannot go on; null after HLT.</summary>
    public VmStopReason? Outcome { get; private set; }

    /// <summary>Handles the exit in the shared page.</summary>
    /// <returns>True if the guest can be entered again.</returns>
    public bool Dispatch()
    {
        // Only this thread writes; a plain add is enough.
        Volatile.Write(ref _exits, _exits + 1);
        var reason = (VcpuExitReason)_run->exit_reason;
        if (reason == VcpuExitReason.Mmio)
        {
            return DispatchMmio();
        }

        switch (reason)
        {
            case VcpuExitReason.Io:
                return DispatchPort();

            case VcpuExitReason.Intr:
            case VcpuExitReason.IrqWindowOpen:
            case VcpuExitReason.SetTpr:
                return true;

            case VcpuExitReason.Hlt:
                Outcome = null;
                return false;

            default:
                Outcome = DescribeEnd(reason);
                return false;
        }
    }

    /// <summary>Why KVM_RUN failed.</summary>
    public VmStopReason DescribeFailure(int errno)
    {
        string detail = string.Empty;
        if ((VcpuExitReason)_run->exit_reason == VcpuExitReason.MemoryFault)
        {
            // struct memory_fault: flags, gpa, size.
            detail = string.Create(CultureInfo.InvariantCulture, $" at guest address 0x{_run->internal_data[0]:X}");
        }

        string text = System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(errno);
        return End(VmStopKind.HostError, $"KVM_RUN failed{detail} (errno {errno}: {text})");
    }

    private bool DispatchMmio()
    {
        kvm_run* run = _run;
        int length = (int)run->mmio_len;
        if ((uint)(length - 1) >= 8)
        {
            Outcome = End(VmStopKind.InternalError, $"an MMIO exit of {length} bytes");
            return false;
        }

        if (run->mmio_is_write != 0)
        {
            _memory.Write(run->mmio_phys_addr, length, run->mmio_data & AccessWidth.Mask(length));
        }
        else
        {
            run->mmio_data = _memory.Read(run->mmio_phys_addr, length);
        }

        return true;
    }

    private bool DispatchPort()
    {
        kvm_run* run = _run;
        int width = run->io_size;
        ulong count = run->io_count;
        ulong offset = run->io_data_offset;
        if (width is not (1 or 2 or 4) || offset > (ulong)_vcpu.MapSize || count * (ulong)width > (ulong)_vcpu.MapSize - offset)
        {
            Outcome = End(VmStopKind.InternalError, $"a port exit of {count} times {width} bytes at 0x{offset:X} of the shared page");
            return false;
        }

        // A string instruction comes as several elements; each is an access of its own (BUS-9).
        byte* data = (byte*)run + offset;
        ushort port = run->io_port;
        bool isWrite = run->io_direction == KvmConstants.KVM_EXIT_IO_OUT;
        for (; count > 0; count--, data += width)
        {
            if (isWrite)
            {
                _ports.Write(port, width, Load(data, width));
            }
            else
            {
                Store(data, width, _ports.Read(port, width));
            }
        }

        return true;
    }

    private static ulong Load(byte* data, int width)
    {
        return width switch
        {
            1 => *data,
            2 => *(ushort*)data,
            _ => *(uint*)data,
        };
    }

    private static void Store(byte* data, int width, ulong value)
    {
        switch (width)
        {
            case 1:
                *data = (byte)value;
                break;
            case 2:
                *(ushort*)data = (ushort)value;
                break;
            default:
                *(uint*)data = (uint)value;
                break;
        }
    }

    private VmStopReason DescribeEnd(VcpuExitReason reason)
    {
        switch (reason)
        {
            case VcpuExitReason.Shutdown:
                return End(VmStopKind.TripleFault, "the guest took a triple fault");

            case VcpuExitReason.SystemEvent:
                return DescribeSystemEvent();

            case VcpuExitReason.FailEntry:
                return End(
                    VmStopKind.InternalError,
                    $"the processor refused to enter the guest, hardware reason 0x{_run->fail_entry_hardware_entry_failure_reason:X} "
                    + $"on host CPU {_run->fail_entry_cpu}");

            case VcpuExitReason.InternalError:
                return End(VmStopKind.InternalError, DescribeInternalError());

            case VcpuExitReason.Unknown:
                return End(
                    VmStopKind.InternalError,
                    $"the processor left the guest for hardware reason 0x{_run->hw_hardware_exit_reason:X}, unknown to KVM");

            default:
                return End(VmStopKind.InternalError, $"KVM_RUN ended with exit reason {(uint)reason} ({reason}), which this library never asks for");
        }
    }

    private VmStopReason DescribeSystemEvent()
    {
        uint type = _run->system_event_type;
        return type switch
        {
            KvmConstants.KVM_SYSTEM_EVENT_SHUTDOWN => VmStopReason.PowerOff with { VcpuId = _vcpu.Id },
            KvmConstants.KVM_SYSTEM_EVENT_RESET => VmStopReason.Reset with { VcpuId = _vcpu.Id },
            KvmConstants.KVM_SYSTEM_EVENT_CRASH => End(VmStopKind.InternalError, "the guest reported a crash"),
            _ => End(VmStopKind.InternalError, $"system event {type}, unknown to this library"),
        };
    }

    private string DescribeInternalError()
    {
        string what = _run->internal_suberror switch
        {
            KvmConstants.KVM_INTERNAL_ERROR_EMULATION => "KVM cannot emulate an instruction",
            KvmConstants.KVM_INTERNAL_ERROR_SIMUL_EX => "the guest took an exception while KVM delivered another",
            KvmConstants.KVM_INTERNAL_ERROR_DELIVERY_EV => "the guest left while KVM delivered an event",
            KvmConstants.KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON => "KVM met a hardware exit that it does not know",
            uint other => $"KVM internal error {other}",
        };
        uint count = Math.Min(_run->internal_ndata, 16);
        bool hasBytes = _run->internal_suberror == KvmConstants.KVM_INTERNAL_ERROR_EMULATION
            && count >= 3
            && (_run->emulation_failure_flags & KvmConstants.KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0;
        if (hasBytes)
        {
            int size = Math.Min(_run->emulation_failure_insn_size, (byte)15);
            return $"{what}: bytes {Convert.ToHexString(new ReadOnlySpan<byte>(_run->emulation_failure_insn_bytes, size))}";
        }

        if (count == 0)
        {
            return what;
        }

        string[] data = new string[count];
        for (int i = 0; i < data.Length; i++)
        {
            data[i] = _run->internal_data[i].ToString("X", CultureInfo.InvariantCulture);
        }

        return $"{what} (data {string.Join(' ', data)})";
    }

    private VmStopReason End(VmStopKind kind, string what)
    {
        return new VmStopReason(kind, $"vCPU {_vcpu.Id}: {what}\n{VcpuDump.Describe(_vcpu)}", _vcpu.Id);
    }
}
