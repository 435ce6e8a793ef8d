using System;
using System.IO;
using System.Linq;
using System.Threading;
using Iced.Intel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.Kvm;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Kvm;

/// <summary>Messages, irqfds and level lines, from our side to a guest's interrupt handler.</summary>
public sealed class InterruptDeliveryTests
{
    private const byte First = 0x40;
    private const byte Second = 0x41;
    private const ulong Taken = 0x3_8000;
    private const ulong Spinning = 0x3_8010;
    private static readonly TimeSpan Patience = KvmAvailability.Patience(20);

    [KvmFact]
    public void A_message_reaches_the_handler_of_a_halted_vcpu()
    {
        using TestMachine machine = Start(1);
        for (uint i = 1; i <= 200; i++)
        {
            machine.Machine.Msi.Send(Message(First), 0).Should().BeTrue();
            WaitForCount(machine, First, i);
        }

        InterruptGuest.Count(machine, Second).Should().Be(0);
    }

    [KvmFact]
    public void A_message_reaches_the_vcpu_it_names()
    {
        using TestMachine machine = Start(2);
        machine.Machine.Msi.Send(Message(First, apicId: 1), 0).Should().BeTrue();
        WaitForCount(machine, First, 1);
        machine.Machine.Msi.Send(Message(Second, apicId: 0), 0).Should().BeTrue();
        WaitForCount(machine, Second, 1);
    }

    [KvmFact]
    public void A_message_to_nobody_is_not_accepted()
    {
        using TestMachine machine = Start(1);
        machine.Machine.Msi.Send(Message(First, apicId: 7), 0).Should().BeFalse();
    }

    [KvmFact]
    public void An_irqfd_reaches_the_handler_and_loses_nothing_one_at_a_time()
    {
        using TestMachine machine = Start(1);
        using var source = new EventFd();
        using IIrqRoute route = machine.Machine.IrqRouting.CreateRoute(source);
        route.Arm(Message(First));
        for (uint i = 1; i <= 200; i++)
        {
            source.Signal();
            WaitForCount(machine, First, i);
        }
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-4")]
    public void What_is_signalled_while_masked_stays_in_the_eventfd_and_is_delivered_once_at_unmasking()
    {
        using TestMachine machine = Start(1);
        using var source = new EventFd();
        using IIrqRoute route = machine.Machine.IrqRouting.CreateRoute(source);
        route.Arm(Message(First));
        source.Signal();
        WaitForCount(machine, First, 1);

        route.Disarm();
        source.Signal();
        source.Signal();
        machine.Machine.Msi.Send(Message(Second), 0);
        WaitForCount(machine, Second, 1);
        InterruptGuest.Count(machine, First).Should().Be(1);

        route.Arm(Message(First));
        WaitForCount(machine, First, 2);
        source.TryConsume(out _).Should().BeFalse();
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-4")]
    public void A_changed_message_takes_effect_for_the_next_event()
    {
        using TestMachine machine = Start(1);
        using var source = new EventFd();
        using IIrqRoute route = machine.Machine.IrqRouting.CreateRoute(source);
        for (uint i = 1; i <= 10; i++)
        {
            route.Arm(Message(First));
            source.Signal();
            WaitForCount(machine, First, i);
            route.Arm(Message(Second));
            source.Signal();
            WaitForCount(machine, Second, i);
        }
    }

    [KvmTheory]
    [InlineData(5)]
    [InlineData(10)]
    [InlineData(23)]
    [Trait("Behaviour", "KVM-5")]
    public void The_interrupt_controllers_keep_their_routes_when_messages_are_routed(int pin)
    {
        using var line = new LineDevice();
        using var machine = new TestMachine(1, interruptController: true);
        using var source = new EventFd();
        using IIrqRoute route = machine.Machine.IrqRouting.CreateRoute(source);
        route.Arm(Message(Second));
        StartLevelGuest(machine, line, pin);
        line.Wire = machine.Machine.InterruptLines.GetLine(pin);
        line.Wire.SetLevel(true);
        WaitForAtLeast(machine, First, 1);
        source.Signal();
        WaitForCount(machine, Second, 1);
    }

    [KvmFact]
    public void A_level_line_interrupts_until_the_device_lets_go()
    {
        using var line = new LineDevice { AcknowledgementsNeeded = 3 };
        using var machine = new TestMachine(1, interruptController: true);
        StartLevelGuest(machine, line, 17);
        line.Wire = machine.Machine.InterruptLines.GetLine(17);

        // The handler acknowledges once an interrupt; the device lets go at the third. One more may have been on its way to the vCPU then.
        line.Wire.SetLevel(true);
        WaitForAtLeast(machine, First, 3);
        machine.Machine.Msi.Send(Message(Second), 0);
        WaitForCount(machine, Second, 1);
        uint taken = InterruptGuest.Count(machine, First);
        taken.Should().BeInRange(3, 4);

        line.Reset();
        line.Wire.SetLevel(true);
        WaitForAtLeast(machine, First, taken + 3);
    }

    [KvmFact]
    public void A_connected_eventfd_asserts_a_level_and_hears_of_the_acknowledgement()
    {
        using var line = new LineDevice();
        using var machine = new TestMachine(1, interruptController: true);
        using var source = new EventFd();
        using var resample = new EventFd();
        StartLevelGuest(machine, line, 18);
        using (machine.Machine.InterruptLines.Connect(18, source, resample))
        {
            for (uint i = 1; i <= 20; i++)
            {
                source.Signal();
                WaitForCount(machine, First, i);
                SpinWait.SpinUntil(() => resample.TryConsume(out _), Patience).Should().BeTrue();
            }
        }

        source.Signal();
        machine.Machine.Msi.Send(Message(Second), 0);
        WaitForCount(machine, Second, 1);
        InterruptGuest.Count(machine, First).Should().Be(20);
    }

    [KvmFact]
    public void A_non_maskable_interrupt_reaches_every_vcpu_whatever_it_does()
    {
        using var machine = new TestMachine(2, interruptController: true);
        LoadNonMaskable(machine);

        // The second one never enables interrupts and never halts.
        machine.Load(32, static a =>
        {
            Label here = a.CreateLabel();
            a.mov(__dword_ptr[Spinning], 1);
            a.Label(ref here);
            a.pause();
            a.jmp(here);
        }, TestMachine.CodeAddress + 0x800, vcpu: 1);
        machine.Group.Start();
        SpinWait.SpinUntil(() => InterruptGuest.IsReady(machine) && machine.ReadUInt32(Spinning) != 0, Patience).Should().BeTrue();

        machine.Machine.InjectNmi().Should().BeTrue();

        SpinWait.SpinUntil(() => machine.ReadUInt32(Taken) == 1 && machine.ReadUInt32(Taken + 4) == 1, Patience)
            .Should().BeTrue("each vCPU takes it: {0}, {1}", machine.ReadUInt32(Taken), machine.ReadUInt32(Taken + 4));
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-1")]
    public void A_vcpu_that_waits_to_be_started_does_not_spin_after_a_non_maskable_interrupt()
    {
        const int FirstId = 70;
        using var machine = new TestMachine(2, interruptController: true, firstId: FirstId);
        LoadNonMaskable(machine);
        machine.Machine.Vcpus[1].MpState = VcpuMpState.Uninitialized;
        machine.Group.Start();
        SpinWait.SpinUntil(() => InterruptGuest.IsReady(machine), Patience).Should().BeTrue();

        machine.Machine.InjectNmi().Should().BeTrue();

        SpinWait.SpinUntil(() => machine.ReadUInt32(Taken) == 1, Patience).Should().BeTrue("the first vCPU takes it");
        TimeSpan before = ProcessorTime($"vcpu{FirstId + 1}");
        Thread.Sleep(1000);
        (ProcessorTime($"vcpu{FirstId + 1}") - before).Should().BeLessThan(TimeSpan.FromMilliseconds(500), "its thread rests");
        machine.ReadUInt32(Taken + 4).Should().Be(0);
        machine.Group.Pause();
        machine.Group.Resume();
    }

    private static MsiMessage Message(byte vector, uint apicId = 0) => new(0xFEE0_0000 | (apicId << 12), vector);

    private static TestMachine Start(int vcpus)
    {
        var machine = new TestMachine(vcpus, interruptController: true);
        InterruptGuest.Load(machine, [First, Second]);
        machine.Group.Start();
        for (int i = 0; i < vcpus; i++)
        {
            int vcpu = i;
            SpinWait.SpinUntil(() => InterruptGuest.IsReady(machine, vcpu), Patience).Should().BeTrue();
        }

        return machine;
    }

    /// <summary>A handler that counts the interrupt of the vCPU whose local APIC id is in bits 31:24 of its register, and halts for good.</summary>
    private static void LoadNonMaskable(TestMachine machine)
    {
        const ulong Handler = 0x3000;
        InterruptGuest.Load(machine, [First]);
        machine.SetInterruptHandler(2, Handler);
        machine.Assemble(
            32,
            static a =>
            {
                Label here = a.CreateLabel();
                a.mov(eax, __dword_ptr[InterruptGuest.LocalApic + 0x20]);
                a.shr(eax, 24);
                a.and(eax, 1);
                a.@lock.inc(__dword_ptr[(eax * 4) + (int)Taken]);
                a.Label(ref here);
                a.cli();
                a.hlt();
                a.jmp(here);
            },
            Handler);
    }

    private static TimeSpan ProcessorTime(string thread)
    {
        foreach (string task in Directory.GetDirectories("/proc/self/task"))
        {
            // pid (name) state ppid ...: utime and stime are the 14th and 15th, in hundredths of a second.
            string stat = File.ReadAllText(Path.Combine(task, "stat"));
            if (stat.Contains($"({thread})", StringComparison.Ordinal))
            {
                string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
                return TimeSpan.FromMilliseconds(10 * (long.Parse(fields[11]) + long.Parse(fields[12])));
            }
        }

        throw new InvalidOperationException($"there is no thread {thread}");
    }

    private static void StartLevelGuest(TestMachine machine, LineDevice line, int pin)
    {
        machine.ClaimPorts(0x300, 4, line);
        InterruptGuest.Load(
            machine,
            [First, Second],
            a =>
            {
                a.mov(edx, 0x300);
                a.@out(dx, eax);
            },
            a => InterruptGuest.RouteLevelPin(a, pin, First));
        machine.Group.Start();
        SpinWait.SpinUntil(() => InterruptGuest.IsReady(machine), Patience).Should().BeTrue();
    }

    private static void WaitForCount(TestMachine machine, byte vector, uint count)
    {
        WaitForAtLeast(machine, vector, count);
        InterruptGuest.Count(machine, vector).Should().Be(count);
    }

    private static void WaitForAtLeast(TestMachine machine, byte vector, uint count)
    {
        if (!SpinWait.SpinUntil(() => InterruptGuest.Count(machine, vector) >= count, Patience))
        {
            machine.Group.Pause();
            string states = string.Join('\n', machine.Machine.Vcpus.Select(VcpuDump.Describe));
            Assert.Fail($"vector 0x{vector:X} was taken {InterruptGuest.Count(machine, vector)} times, not {count}:\n{states}");
        }
    }

    /// <summary>Lets its line go when the guest has acknowledged often enough.</summary>
    private sealed class LineDevice : IRegionHandler, IDisposable
    {
        private int _acknowledgements;

        public IInterruptLine? Wire { get; set; }

        public int AcknowledgementsNeeded { get; init; } = 1;

        public void Reset() => Volatile.Write(ref _acknowledgements, 0);

        public ulong Read(ulong offset, int width) => 0;

        public void Write(ulong offset, int width, ulong value)
        {
            if (Interlocked.Increment(ref _acknowledgements) == AcknowledgementsNeeded)
            {
                Wire?.SetLevel(false);
            }
        }

        public void Dispose() => Wire = null;
    }
}
