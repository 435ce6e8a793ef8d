using System;
using System.Diagnostics;
using System.IO;
using System.Threading;
using Vmm.Tests.Kvm;
using Vmm.Tests.Machine;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Cli;

/// <summary>Exit statuses of real runs, with kernels of a few instructions.</summary>
public sealed class RunTests : IDisposable
{
    private static readonly TimeSpan Patience = KvmAvailability.Patience(60);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmm-run");

    private string Serial => Path.Combine(_folder.FullName, "serial");

    private string Kernel => Path.Combine(_folder.FullName, "kernel");

    public void Dispose() => _folder.Delete(true);

    [KvmFact]
    public void Power_off_is_0_and_the_serial_port_goes_to_stdout()
    {
        File.WriteAllBytes(Kernel, TinyKernel.Linux64(c =>
        {
            c.Print("hello");
            c.PowerOff();
        }));
        VmmProcess.Run("run", "--kernel", Kernel).Should().Be(new VmmResult(0, "hello", ""));
    }

    [KvmFact]
    public void Reset_is_0_with_no_reboot()
    {
        File.WriteAllBytes(Kernel, TinyKernel.Pvh(c =>
        {
            c.Print("once");
            c.Out8(0x60C, 1);
            c.Spin();
        }));
        VmmProcess.Run("run", "--kernel", Kernel, "--no-reboot").Should().Be(new VmmResult(0, "once", ""));
    }

    [KvmFact]
    public void A_triple_fault_is_3_with_one_line()
    {
        File.WriteAllBytes(Kernel, TinyKernel.Linux64(c => c.ud2()));
        VmmProcess.Run("run", "--kernel", Kernel).ShouldHaveFailed(3, "triple fault");
    }

    [KvmFact]
    public void The_time_line_is_logged()
    {
        File.WriteAllBytes(Kernel, TinyKernel.Linux64(c => c.PowerOff()));
        VmmResult result = VmmProcess.Run("run", "--kernel", Kernel, "--log-level", "debug");
        result.Status.Should().Be(0);
        result.Output.Should().BeEmpty();
        result.Error.Should().Contain("first guest instruction at");
    }

    [KvmFact]
    [Trait("Behaviour", "BUS-13")]
    public void A_trace_shows_the_accesses_of_a_run_by_their_registers()
    {
        string trace = Path.Combine(_folder.FullName, "trace");
        File.WriteAllBytes(Kernel, TinyKernel.Linux64(c =>
        {
            c.Print("hi");
            c.PowerOff();
        }));
        VmmProcess.Run("run", "--kernel", Kernel, "--trace", $"{trace},devices=serial+acpi").Should().Be(new VmmResult(0, "hi", ""));
        File.ReadAllLines(trace).Should().AllSatisfy(static line => line.Should().MatchRegex(@"^\d+\.\d{6} vcpu0 (serial|acpi) "))
            .And.ContainSingle(static line => line.EndsWith(" serial serial.rbr_thr_dll <- 0x68", StringComparison.Ordinal))
            .And.ContainSingle(static line => line.EndsWith(" serial serial.rbr_thr_dll <- 0x69", StringComparison.Ordinal))
            .And.ContainSingle(static line => line.EndsWith(" acpi acpi.pm1_control <- 0x3400", StringComparison.Ordinal));
    }

    [Fact]
    public void A_trace_that_cannot_be_written_is_1_with_one_line()
    {
        string trace = Path.Combine(_folder.FullName, "absent", "trace");
        VmmProcess.Run("run", "--kernel", Kernel, "--trace", trace).ShouldHaveFailed(1, $"--trace {trace}: cannot be written");
    }

    [KvmTheory]
    [InlineData("-TERM")]
    [InlineData("-INT")]
    [InlineData("-HUP")]
    public void A_signal_ends_a_spinning_guest_with_0(string signal)
    {
        File.WriteAllBytes(Kernel, TinyKernel.Linux64(c =>
        {
            c.Print("up");
            c.Spin();
        }));
        using Process run = Start();
        Until(() => Text() == "up");
        Signal(run, signal);
        run.WaitForExit(Patience).Should().BeTrue();
        run.ExitCode.Should().Be(0);
        run.StandardError.ReadToEnd().Should().BeEmpty();
    }

    [KvmFact]
    public void SIGTERM_presses_the_power_button_where_that_is_asked_for()
    {
        File.WriteAllBytes(Kernel, TinyKernel.Linux64(c => c.PowerOffAtTheButton()));
        using Process run = Start("--on-term", "power-button");
        Until(() => Text() == "up");
        Signal(run, "-TERM");
        run.WaitForExit(Patience).Should().BeTrue();
        run.ExitCode.Should().Be(0);
        run.StandardError.ReadToEnd().Should().BeEmpty();
        Text().Should().Be("up!", "the guest has ended by itself");
    }

    [KvmTheory]
    [InlineData("-TERM")]
    [InlineData("-INT")]
    [InlineData("-HUP")]
    public void A_guest_that_does_not_heed_the_power_button_is_ended_by_the_next_signal(string signal)
    {
        File.WriteAllBytes(Kernel, TinyKernel.Linux64(c =>
        {
            Iced.Intel.Label look = c.CreateLabel();
            c.Print("up");
            c.Label(ref look);
            c.mov(dx, (ushort)0x600);
            c.@in(ax, dx);
            c.test(ax, 0x100);
            c.je(look);
            c.Print("!");
            c.Spin();
        }));
        using Process run = Start("--on-term", "power-button");
        Until(() => Text() == "up");
        Signal(run, "-TERM");
        Until(() => Text() == "up!");
        run.HasExited.Should().BeFalse();
        Signal(run, signal);
        run.WaitForExit(Patience).Should().BeTrue();
        run.ExitCode.Should().Be(0);
    }

    [KvmFact]
    public void A_reset_restarts_the_guest_in_the_same_process_until_a_signal()
    {
        string disk = Path.Combine(_folder.FullName, "disk");
        File.WriteAllBytes(disk, new byte[4096]);
        File.WriteAllBytes(Kernel, TinyKernel.Linux64(c =>
        {
            c.Print(".");
            c.Out8(0x64, 0xFE);
            c.Spin();
        }));
        using Process run = Start("--disk", $"path={disk}");
        Until(() => Text().Length >= 3);
        Signal(run, "-TERM");
        run.WaitForExit(Patience).Should().BeTrue();
        run.ExitCode.Should().Be(0);
        Text().Should().MatchRegex(@"^\.{3,}$");
    }

    private Process Start(params string[] more)
    {
        string[] arguments = ["run", "--kernel", Kernel, "--serial", $"file={Serial}", .. more];
        // Whoever runs the tests in the background had INT or HUP ignored, and what is ignored is inherited.
        Process process = Process.Start(new ProcessStartInfo("env", ["--default-signal=INT,HUP,TERM", VmmProcess.Command, .. arguments])
        {
            RedirectStandardError = true,
            RedirectStandardInput = true,
        })!;
        process.StandardInput.Close();
        return process;
    }

    private static void Signal(Process process, string signal)
    {
        VmmProcess.RunProgram("kill", [signal, $"{process.Id}"]).Status.Should().Be(0);
    }

    private string Text() => File.Exists(Serial) ? File.ReadAllText(Serial) : "";

    private static void Until(Func<bool> condition)
    {
        SpinWait.SpinUntil(condition, Patience).Should().BeTrue("the guest has to come up");
    }
}
