using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Iced.Intel;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Tests.Kvm;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Machine;

/// <summary>The buttons of a running machine, with kernels of a few instructions on /dev/kvm.</summary>
public sealed class ButtonTests : IDisposable
{
    private static readonly TimeSpan Patience = KvmAvailability.Patience(30);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmm-buttons");

    private string Output => Path.Combine(_folder.FullName, "serial");

    public void Dispose() => _folder.Delete(true);

    [KvmFact]
    public void A_guest_that_looks_at_its_power_button_finds_it_pressed_and_ends()
    {
        using var machine = VirtualMachine.Create(Options(TinyKernel.Linux64(static c => c.PowerOffAtTheButton())));
        machine.Start();
        WaitForOutput("up");

        machine.PressPowerButton();

        End(machine).Reason.Should().Be(MachineExitReason.PowerOff);
        File.ReadAllText(Output).Should().Be("up!");
        machine.Dispose();
        FluentActions.Invoking(machine.PressPowerButton).Should().Throw<ObjectDisposedException>();
    }

    [KvmFact]
    public void A_guest_that_does_not_look_goes_on()
    {
        using var machine = VirtualMachine.Create(Options(TinyKernel.Linux64(static c =>
        {
            c.Print("up");
            c.Spin();
        })));
        machine.PressPowerButton();
        machine.Start();
        WaitForOutput("up");
        machine.PressPowerButton();
        machine.Inspect().Find("acpi")!.TextOf("pm1_status").Should().Be("0x0100");
        machine.RequestStop();
        End(machine).Reason.Should().Be(MachineExitReason.Stopped);
    }

    [KvmTheory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_non_maskable_interrupt_wakes_a_guest_that_sleeps_with_interrupts_off(int cpus)
    {
        using var machine = VirtualMachine.Create(Options(TinyKernel.Linux64(static c =>
        {
            const int Table = 0x30_0000;
            const int Pointer = 0x30_1000;
            Label handler = c.CreateLabel();
            Label sleep = c.CreateLabel();

            // The gate of vector 2, in a table of its own: an interrupt gate to the handler in this code segment.
            c.mov(esp, 0x31_0000);
            c.lea(rax, __[handler]);
            c.mov(ebx, Table + 0x20);
            c.mov(__word_ptr[rbx], ax);
            c.mov(__word_ptr[rbx + 2], cs);
            c.mov(__word_ptr[rbx + 4], 0x8E00);
            c.shr(rax, 16);
            c.mov(__word_ptr[rbx + 6], ax);
            c.shr(rax, 16);
            c.mov(__dword_ptr[rbx + 8], eax);
            c.mov(__dword_ptr[rbx + 12], 0);
            c.mov(ebx, Pointer);
            c.mov(__word_ptr[rbx], 0xFF);
            c.mov(__dword_ptr[rbx + 2], Table);
            c.mov(__dword_ptr[rbx + 6], 0);
            c.lidt(__[rbx]);
            c.Print("up");
            c.Label(ref sleep);
            c.cli();
            c.hlt();
            c.jmp(sleep);
            c.Label(ref handler);
            c.Print("!");
            c.PowerOff();
        })) with
        { CpuCount = cpus });
        machine.Start();
        WaitForOutput("up");

        machine.InjectNmi();

        End(machine).Reason.Should().Be(MachineExitReason.PowerOff);
        File.ReadAllText(Output).Should().Be("up!");
        machine.Dispose();
        FluentActions.Invoking(machine.InjectNmi).Should().Throw<ObjectDisposedException>();
    }

    private static MachineExit End(VirtualMachine machine)
    {
        Task<MachineExit> exit = Task.Run(() => machine.WaitForExit());
        exit.Wait(Patience).Should().BeTrue("the machine has to end");
        return exit.Result;
    }

    private void WaitForOutput(string text)
    {
        SpinWait.SpinUntil(() => File.Exists(Output) && File.ReadAllText(Output) == text, Patience).Should().BeTrue("the guest has to come up");
    }

    private MachineOptions Options(byte[] kernel)
    {
        string path = Path.Combine(_folder.FullName, "kernel");
        File.WriteAllBytes(path, kernel);
        return new MachineOptions
        {
            KernelPath = path,
            Memory = new MemoryOptions(64 << 20),
            Serial = new CharacterOptions(CharacterKind.File, Output),
        };
    }
}
