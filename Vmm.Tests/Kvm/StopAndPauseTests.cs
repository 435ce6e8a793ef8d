using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Bus;
using Vmm.Kvm;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Kvm;

/// <summary>Kicking, pausing and stopping vCPUs that spin, halt, or leave the guest all the time.</summary>
[Trait("Behaviour", "KVM-2")]
public sealed class StopAndPauseTests
{
    private static readonly TimeSpan Patience = KvmAvailability.Patience(20);
    private static readonly int Pauses = KvmAvailability.Rounds(1000, 200);

    [KvmTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_spinning_vcpu_stops(bool interruptController)
    {
        using var machine = new TestMachine(1, interruptController);
        machine.Load(32, Spin);
        await StopsAsync(machine);
    }

    [KvmTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_halted_vcpu_stops(bool interruptController)
    {
        using var machine = new TestMachine(1, interruptController);
        machine.Load(32, a => a.hlt());
        await StopsAsync(machine);
    }

    [KvmFact]
    public async Task A_processor_that_was_never_started_stops()
    {
        using var machine = new TestMachine(2, interruptController: true);
        machine.Load(32, Spin, vcpu: 0);
        machine.Machine.Vcpus[1].MpState.Should().Be(VcpuMpState.Uninitialized);
        await StopsAsync(machine);
    }

    [KvmFact]
    public void A_stop_before_the_start_ends_at_once()
    {
        using var machine = new TestMachine();
        machine.Load(32, Spin);
        machine.Group.RequestStop(VmStopReason.Stopped).Should().BeTrue();
        machine.Run().Kind.Should().Be(VmStopKind.Stopped);
    }

    [KvmFact]
    public void The_first_reason_stays()
    {
        using var machine = new TestMachine();
        machine.Load(32, Spin);
        machine.Group.Start();
        machine.Group.RequestStop(VmStopReason.Reset).Should().BeTrue();
        machine.Group.RequestStop(VmStopReason.PowerOff).Should().BeFalse();
        machine.Wait().Kind.Should().Be(VmStopKind.Reset);
        machine.Group.Stop().Kind.Should().Be(VmStopKind.Reset);
    }

    [KvmFact]
    public void Pausing_stops_progress_and_resuming_continues_it()
    {
        using var machine = new TestMachine();
        machine.Load(32, CountForEver);
        machine.Group.Start();
        uint last = 0;
        for (int i = 0; i < 20; i++)
        {
            WaitUntil(() => machine.ReadUInt32(TestMachine.DataAddress) != last);
            machine.Group.Pause();
            machine.Group.Pause();
            uint paused = machine.ReadUInt32(TestMachine.DataAddress);
            machine.Machine.Vcpus[0].GetRegisters().Rip.Should().BeInRange(TestMachine.CodeAddress, TestMachine.CodeAddress + 0x100);
            machine.ReadUInt32(TestMachine.DataAddress).Should().Be(paused);
            last = paused;
            machine.Group.Resume();
        }

        machine.Group.Stop().Kind.Should().Be(VmStopKind.Stopped);
    }

    [KvmFact]
    public void A_paused_vcpu_stops()
    {
        using var machine = new TestMachine();
        machine.Load(32, Spin);
        machine.Group.Start();
        machine.Group.Pause();
        machine.Group.Stop().Kind.Should().Be(VmStopKind.Stopped);
    }

    [KvmFact]
    public void No_kick_is_lost_in_many_pauses_of_a_vcpu_that_exits_all_the_time()
    {
        using var machine = new TestMachine();
        var device = new NullDevice();
        machine.Claim(0xD000_0000, 0x1000, device);
        machine.Load(32, a =>
        {
            a.mov(edi, 0xD000_0000);
            Iced.Intel.Label again = a.CreateLabel();
            a.Label(ref again);
            a.mov(eax, __dword_ptr[edi]);
            a.jmp(again);
        });
        machine.Group.Start();
        HammerPauses(machine);
        device.Reads.Should().BePositive();
    }

    [KvmFact]
    public void No_kick_is_lost_in_many_pauses_of_a_spinning_vcpu()
    {
        using var machine = new TestMachine();
        machine.Load(32, Spin);
        machine.Group.Start();
        HammerPauses(machine);
    }

    [KvmFact]
    public void No_kick_is_lost_in_many_pauses_of_a_halted_vcpu()
    {
        using var machine = new TestMachine(1, interruptController: true);
        machine.Load(32, a =>
        {
            Iced.Intel.Label again = a.CreateLabel();
            a.Label(ref again);
            a.hlt();
            a.jmp(again);
        });
        machine.Group.Start();
        HammerPauses(machine);
    }

    [KvmFact]
    public void Starts_and_stops_leave_no_thread_behind()
    {
        // Ids that no other test has, for the threads are named after them.
        for (int i = 0; i < 30; i++)
        {
            using var machine = new TestMachine(2, firstId: 200);
            machine.Load(32, Spin);
            machine.Group.Start();
            SpinWait.SpinUntil(() => VcpuThreads() == 2, Patience).Should().BeTrue();
            machine.Group.Stop().Kind.Should().Be(VmStopKind.Stopped);
            SpinWait.SpinUntil(() => VcpuThreads() == 0, Patience).Should().BeTrue();
        }
    }

    [KvmFact]
    public void Garbage_collections_neither_wait_for_the_guest_nor_stop_it()
    {
        using var machine = new TestMachine(2);
        machine.Load(32, CountForEver);
        machine.Group.Start();
        var collections = Task.Run(() =>
        {
            for (int i = 0; i < 50; i++)
            {
                GC.Collect();
            }
        });
        collections.Wait(KvmAvailability.Patience(60)).Should().BeTrue();
        uint count = machine.ReadUInt32(TestMachine.DataAddress);
        WaitUntil(() => machine.ReadUInt32(TestMachine.DataAddress) != count);
        machine.Group.Stop().Kind.Should().Be(VmStopKind.Stopped);
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-3")]
    public void A_paused_vcpu_has_finished_the_access_it_was_in()
    {
        using var machine = new TestMachine();
        using var entered = new ManualResetEventSlim();
        machine.Claim(0xD000_0000, 0x1000, new PausingDevice(machine.Group, entered));
        machine.Load(32, a =>
        {
            a.mov(edi, 0xD000_0000);
            a.xor(eax, eax);
            a.mov(eax, __dword_ptr[edi]);
            Iced.Intel.Label again = a.CreateLabel();
            a.Label(ref again);
            a.jmp(again);
        });
        machine.Group.Start();
        entered.Wait(Patience).Should().BeTrue();
        machine.Group.Pause();

        // The read's value is in the register and the instruction is behind us.
        VcpuRegisters registers = machine.Machine.Vcpus[0].GetRegisters();
        registers.Rax.Should().Be(0x1234_5678);
        registers.Rip.Should().BeGreaterThanOrEqualTo(TestMachine.CodeAddress + 9);
        machine.Group.Stop();
    }

    [KvmFact]
    public void A_device_handler_cannot_wait_for_its_own_vcpu()
    {
        using var machine = new TestMachine();
        var device = new WaitingDevice(machine.Group);
        machine.ClaimPorts(0x300, 1, device);
        machine.Load(32, a =>
        {
            a.mov(edx, 0x300);
            a.@out(dx, al);
            AccessExitTests.Exit(a);
        });
        machine.Run();
        device.Caught.Should().BeOfType<InvalidOperationException>();
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-9")]
    public void A_start_that_fails_ends_the_vcpus_that_were_started()
    {
        using var machine = new TestMachine(2);
        machine.Load(32, Spin);
        using (var other = new VcpuRunLoop(machine.Machine.Vcpus[1], machine.Memory, machine.Ports))
        {
            other.Start();
            machine.Group.Invoking(group => group.Start()).Should().Throw<InvalidOperationException>().WithMessage("*vCPU 1*");
        }

        machine.Group.Loops[0].StopReason.Should().NotBeNull();
        machine.Machine.Invoking(m => m.Dispose()).Should().NotThrow("no vCPU runs any more");
    }

    [KvmFact]
    public void Disposing_a_running_vcpu_is_refused()
    {
        using var machine = new TestMachine();
        machine.Load(32, Spin);
        machine.Group.Start();
        machine.Machine.Vcpus[0].Invoking(vcpu => vcpu.Dispose()).Should().Throw<InvalidOperationException>();
        machine.Machine.Invoking(m => m.Dispose()).Should().Throw<InvalidOperationException>();
        machine.Group.Stop().Kind.Should().Be(VmStopKind.Stopped);
    }

    private static void Spin(Iced.Intel.Assembler a)
    {
        Iced.Intel.Label again = a.CreateLabel();
        a.Label(ref again);
        a.jmp(again);
    }

    private static void CountForEver(Iced.Intel.Assembler a)
    {
        Iced.Intel.Label again = a.CreateLabel();
        a.Label(ref again);
        a.inc(__dword_ptr[(uint)TestMachine.DataAddress]);
        a.jmp(again);
    }

    private static async Task StopsAsync(TestMachine machine)
    {
        machine.Group.Start();
        await Task.Delay(20);
        machine.Group.RequestStop(VmStopReason.Stopped);
        VmStopReason reason = await machine.Group.Completion.WaitAsync(Patience);
        reason.Kind.Should().Be(VmStopKind.Stopped);
    }

    private static void HammerPauses(TestMachine machine)
    {
        var hammer = Task.Run(() =>
        {
            for (int i = 0; i < Pauses; i++)
            {
                machine.Group.Pause();
                machine.Group.Resume();

                // The next kick meets the vCPU on its way into the guest, or just inside.
                SpinWait.SpinUntil(() => !machine.Group.Loops[0].IsPaused, Patience).Should().BeTrue();
                Thread.SpinWait(i % 500);
            }
        });
        hammer.Wait(KvmAvailability.Patience(60)).Should().BeTrue("every pause must come to its end");
        machine.Group.Stop().Kind.Should().Be(VmStopKind.Stopped);
    }

    private static void WaitUntil(Func<bool> condition)
    {
        SpinWait.SpinUntil(condition, Patience).Should().BeTrue();
    }

    private static int VcpuThreads()
    {
        return System.IO.Directory.GetDirectories("/proc/self/task")
            .Count(task => ReadName(task).StartsWith("vcpu20", StringComparison.Ordinal));
    }

    private static string ReadName(string task)
    {
        try
        {
            return System.IO.File.ReadAllText($"{task}/comm");
        }
        catch (System.IO.IOException)
        {
            return string.Empty;
        }
    }

    private sealed class NullDevice : IRegionHandler
    {
        public long Reads { get; private set; }

        public ulong Read(ulong offset, int width) => (ulong)++Reads;

        public void Write(ulong offset, int width, ulong value)
        {
        }
    }

    private sealed class PausingDevice(VcpuGroup group, ManualResetEventSlim entered) : IRegionHandler
    {
        public ulong Read(ulong offset, int width)
        {
            group.Loops[0].RequestPause();
            entered.Set();
            return 0x1234_5678;
        }

        public void Write(ulong offset, int width, ulong value)
        {
        }
    }

    private sealed class WaitingDevice(VcpuGroup group) : IRegionHandler
    {
        public Exception? Caught { get; private set; }

        public ulong Read(ulong offset, int width) => 0;

        public void Write(ulong offset, int width, ulong value)
        {
            try
            {
                group.Pause();
            }
            catch (InvalidOperationException e)
            {
                Caught = e;
                group.Resume();
            }
        }
    }
}
