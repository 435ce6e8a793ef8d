using System;
using Vmm.Kvm;
using Vmm.Kvm.Interop;

namespace Vmm.Tests.Kvm;

/// <summary>Exits that no guest here can be made to cause, written into the shared page as the kernel would.</summary>
[Trait("Behaviour", "KVM-1")]
public sealed unsafe class ExitReasonTests : IDisposable
{
    private readonly TestMachine? _machine;
    private readonly VcpuExitDispatcher? _dispatcher;

    public ExitReasonTests()
    {
        if (KvmAvailability.SkipReason is null)
        {
            _machine = new TestMachine();
            _machine.Load(32, a => a.hlt());
            _dispatcher = new VcpuExitDispatcher(_machine.Machine.Vcpus[0], _machine.Memory, _machine.Ports);
        }
    }

    private kvm_run* Page => _machine!.Machine.Vcpus[0].RunPage;

    private VcpuExitDispatcher Dispatcher => _dispatcher!;

    [KvmFact]
    public void A_failed_entry_gives_the_hardwares_reason()
    {
        Page->fail_entry_hardware_entry_failure_reason = 0x8000_0021;
        Page->fail_entry_cpu = 3;
        VmStopReason end = End(VcpuExitReason.FailEntry);
        end.Kind.Should().Be(VmStopKind.InternalError);
        end.Message.Should().Contain("0x80000021").And.Contain("CPU 3").And.Contain("rip=").And.Contain("hlt");
    }

    [KvmFact]
    public void An_instruction_that_cannot_be_emulated_is_shown_with_its_bytes()
    {
        Page->internal_suberror = KvmConstants.KVM_INTERNAL_ERROR_EMULATION;
        Page->internal_ndata = 4;
        Page->emulation_failure_flags = KvmConstants.KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
        Page->emulation_failure_insn_size = 3;
        Page->emulation_failure_insn_bytes[0] = 0x0F;
        Page->emulation_failure_insn_bytes[1] = 0xAE;
        Page->emulation_failure_insn_bytes[2] = 0x38;
        VmStopReason end = End(VcpuExitReason.InternalError);
        end.Kind.Should().Be(VmStopKind.InternalError);
        end.VcpuId.Should().Be(0);
        end.Message.Split('\n')[0].Should().Be("vCPU 0: KVM cannot emulate an instruction: bytes 0FAE38");
        end.Message.Should().Contain("1000: hlt");
    }

    [KvmTheory]
    [InlineData(2u, "exception while KVM delivered another")]
    [InlineData(3u, "delivered an event")]
    [InlineData(4u, "hardware exit that it does not know")]
    [InlineData(77u, "internal error 77")]
    public void Other_internal_errors_give_their_data(uint suberror, string words)
    {
        Page->internal_suberror = suberror;
        Page->internal_ndata = 2;
        Page->internal_data[0] = 0xABC;
        Page->internal_data[1] = 0xDEF;
        VmStopReason end = End(VcpuExitReason.InternalError);
        end.Kind.Should().Be(VmStopKind.InternalError);
        end.Message.Should().Contain(words).And.Contain("data ABC DEF");
    }

    [KvmTheory]
    [InlineData(1u, VmStopKind.PowerOff)]
    [InlineData(2u, VmStopKind.Reset)]
    [InlineData(3u, VmStopKind.InternalError)]
    [InlineData(99u, VmStopKind.InternalError)]
    public void System_events(uint type, VmStopKind kind)
    {
        Page->system_event_type = type;
        End(VcpuExitReason.SystemEvent).Kind.Should().Be(kind);
    }

    [KvmTheory]
    [InlineData(0u)]
    [InlineData(3u)]
    [InlineData(4u)]
    [InlineData(26u)]
    [InlineData(12345u)]
    public void What_is_not_known_ends_with_a_message(uint reason)
    {
        Page->hw_hardware_exit_reason = 0x1F;
        VmStopReason end = End((VcpuExitReason)reason);
        end.Kind.Should().Be(VmStopKind.InternalError);
        end.Message.Should().Contain(reason == 0 ? "0x1F" : $"exit reason {reason}");
    }

    [KvmTheory]
    [InlineData(7u)]
    [InlineData(10u)]
    [InlineData(11u)]
    public void What_needs_nothing_goes_on(uint reason)
    {
        Page->exit_reason = reason;
        Dispatcher.Dispatch().Should().BeTrue();
    }

    [KvmFact]
    public void Halting_without_interrupt_controllers_ends_without_a_reason()
    {
        Page->exit_reason = (uint)VcpuExitReason.Hlt;
        Dispatcher.Dispatch().Should().BeFalse();
        Dispatcher.Outcome.Should().BeNull();
    }

    [KvmTheory]
    [InlineData(0u)]
    [InlineData(9u)]
    [InlineData(uint.MaxValue)]
    public void An_impossible_mmio_length_is_not_believed(uint length)
    {
        Page->mmio_len = length;
        End(VcpuExitReason.Mmio).Kind.Should().Be(VmStopKind.InternalError);
    }

    [KvmTheory]
    [InlineData(3, 1u, 4096ul)]
    [InlineData(8, 1u, 4096ul)]
    [InlineData(4, uint.MaxValue, 4096ul)]
    [InlineData(1, 1u, ulong.MaxValue)]
    [InlineData(4, 1u, 0x7FFF_FFFFul)]
    public void Port_data_outside_the_shared_page_is_not_believed(byte width, uint count, ulong offset)
    {
        Page->io_direction = KvmConstants.KVM_EXIT_IO_OUT;
        Page->io_size = width;
        Page->io_count = count;
        Page->io_data_offset = offset;
        Page->io_port = 0x300;
        End(VcpuExitReason.Io).Kind.Should().Be(VmStopKind.InternalError);
    }

    [KvmFact]
    public void A_failing_run_is_the_hosts_failure()
    {
        VmStopReason end = Dispatcher.DescribeFailure(14);
        end.Kind.Should().Be(VmStopKind.HostError);
        end.Message.Should().Contain("errno 14").And.Contain("rip=");
    }

    public void Dispose() => _machine?.Dispose();

    private VmStopReason End(VcpuExitReason reason)
    {
        Page->exit_reason = (uint)reason;
        Dispatcher.Dispatch().Should().BeFalse();
        return Dispatcher.Outcome!;
    }
}
