using System;
using System.Buffers.Binary;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using System.Threading.Tasks;
using Iced.Intel;
using Vmm.DeviceModel.State;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Machine.Layout;
using Vmm.Tests.Kvm;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Tests.Machine;

/// <summary>Whole machines with kernels of a few instructions on /dev/kvm: how they start, what they find, how they end.</summary>
public sealed class VirtualMachineTests : IDisposable
{
    private static readonly TimeSpan Patience = KvmAvailability.Patience(30);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmm-machine");

    private string Output => Path.Combine(_folder.FullName, "serial");

    public void Dispose() => _folder.Delete(true);

    [KvmTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_kernel_of_either_format_prints_and_powers_off(bool elf)
    {
        static void Write(Assembler c)
        {
            c.Print("hello");
            c.PowerOff();
        }

        Run(elf ? TinyKernel.Pvh(Write) : TinyKernel.Linux64(Write)).Reason.Should().Be(MachineExitReason.PowerOff);
        File.ReadAllText(Output).Should().Be("hello");
    }

    [KvmTheory]
    [InlineData(0x60C, 1)]
    [InlineData(0x64, 0xFE)]
    [InlineData(0xCF9, 6)]
    public void Every_way_to_reset_ends_the_machine(int port, int value)
    {
        MachineExit exit = Run(TinyKernel.Linux64(c =>
        {
            c.Out8((ushort)port, (byte)value);
            c.Spin();
        }));
        exit.Should().Be(new MachineExit(MachineExitReason.Reset));
    }

    [KvmFact]
    public void A_triple_fault_is_the_guests_death_in_one_line()
    {
        MachineExit exit = Run(TinyKernel.Linux64(c => c.ud2()));
        exit.Reason.Should().Be(MachineExitReason.GuestDied);
        exit.Detail.Should().Contain("triple fault").And.NotContain("\n");
    }

    [KvmTheory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_spinning_machine_is_stopped_from_outside(int cpus)
    {
        MachineOptions options = Options(TinyKernel.Linux64(c => c.Spin())) with { CpuCount = cpus };
        using var machine = VirtualMachine.Create(options);
        machine.Start();
        machine.RequestStop();
        Wait(machine).Reason.Should().Be(MachineExitReason.Stopped);
    }

    [KvmFact]
    public void A_stop_before_the_start_is_not_lost()
    {
        using var machine = VirtualMachine.Create(Options(TinyKernel.Linux64(c => c.Spin())));
        machine.RequestStop();
        machine.Start();
        Wait(machine).Reason.Should().Be(MachineExitReason.Stopped);
    }

    [KvmFact]
    [Trait("Behaviour", "CON-6")]
    public void A_running_machine_is_looked_at_as_text_and_as_JSON()
    {
        using var machine = VirtualMachine.Create(Options(TinyKernel.Linux64(c => c.Spin())) with
        {
            Devices = [new EntropyOptions()],
        });
        machine.Start();

        InspectionNode node = machine.Inspect();

        InspectionNode function = node.Find("pci")!.Parts.Single(part => part.TextOf("name") == "rng");
        function.TextOf("vendor").Should().Be("0x1af4");
        function.Find("transport")!.TextOf("negotiated features").Should().Be("0x0000000000000000");
        node.Find("acpi").Should().NotBeNull();
        node.ToText().Should().StartWith("machine\n  vcpus: 1\n  memory: 0x").And.Contain("\n  pci\n");
        using var json = JsonDocument.Parse(node.ToJson());
        json.RootElement.GetProperty("parts").EnumerateArray().Select(static part => part.GetProperty("name").GetString())
            .Should().Contain("pci", "serial", "rtc", "acpi");
        machine.RequestStop();
        Wait(machine).Reason.Should().Be(MachineExitReason.Stopped);
        machine.Dispose();
        ((Action)(() => machine.Inspect())).Should().Throw<ObjectDisposedException>();
    }

    [KvmFact]
    public void A_machine_that_was_never_started_is_disposed()
    {
        var machine = VirtualMachine.Create(Options(TinyKernel.Linux64(c => c.Spin())));
        machine.Dispose();
        machine.Dispose();
        ((Action)machine.Start).Should().Throw<ObjectDisposedException>();
    }

    [KvmFact]
    public void PVH_is_entered_with_the_start_information()
    {
        Run(TinyKernel.Pvh(c =>
        {
            c.mov(eax, __dword_ptr[ebx]);
            c.PrintEax();
            c.mov(eax, __dword_ptr[ebx + 32]);
            c.mov(eax, __dword_ptr[eax]);
            c.PrintEax();
            c.PowerOff();
        }));
        byte[] output = File.ReadAllBytes(Output);
        BinaryPrimitives.ReadUInt32LittleEndian(output).Should().Be(0x336E_C578);
        Encoding.ASCII.GetString(output, 4, 4).Should().Be("RSD ", "the RSDP is where the start information says");
    }

    [KvmFact]
    public void The_boot_protocol_is_entered_with_the_boot_parameters_and_the_command_line()
    {
        MachineOptions options = Options(TinyKernel.Linux64(c =>
        {
            c.mov(eax, __dword_ptr[rsi + 0x202]);
            c.PrintEax();
            c.mov(ebx, __dword_ptr[rsi + 0x228]);
            c.mov(eax, __dword_ptr[rbx]);
            c.PrintEax();
            c.PowerOff();
        })) with
        { CommandLine = "root=/dev/vda" };
        Run(options);
        File.ReadAllText(Output).Should().Be("HdrSroot");
    }

    [KvmFact]
    [Trait("Behaviour", "PCI-2")]
    public void Devices_are_found_by_ports_and_by_memory_at_the_same_place()
    {
        string disk = Path.Combine(_folder.FullName, "disk");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        MachineOptions options = Options(TinyKernel.Linux64(c =>
        {
            foreach (uint slot in (uint[])[0, 1, 2, 3])
            {
                c.mov(dx, (ushort)0xCF8);
                c.mov(eax, 0x8000_0000 | (slot << 11));
                c.@out(dx, eax);
                c.mov(dx, (ushort)0xCFC);
                c.@in(eax, dx);
                c.PrintEax();
                c.mov(ebx, (uint)MemoryLayout.EcamStart + (slot << 15));
                c.mov(eax, __dword_ptr[rbx]);
                c.PrintEax();
            }

            c.PowerOff();
        })) with
        { Devices = [new DiskOptions(disk, ReadOnly: true), new EntropyOptions()] };
        Run(options);
        uint[] ids = [.. File.ReadAllBytes(Output).Chunk(4).Select(b => BinaryPrimitives.ReadUInt32LittleEndian(b))];
        ids.Should().Equal(0x0008_1B36, 0x0008_1B36, 0x1042_1AF4, 0x1042_1AF4, 0x1044_1AF4, 0x1044_1AF4, uint.MaxValue, uint.MaxValue);
    }

    [KvmFact]
    public void RAM_above_4_GiB_is_there()
    {
        MachineOptions options = Options(TinyKernel.Pvh(c =>
        {
            // The last entry of the memory map that is RAM is that above the hole.
            c.mov(ecx, __dword_ptr[ebx + 48]);
            c.imul(ecx, ecx, 24);
            c.add(ecx, __dword_ptr[ebx + 40]);
            Label last = c.CreateLabel();
            c.Label(ref last);
            c.sub(ecx, 24);
            c.cmp(__dword_ptr[ecx + 16], 1);
            c.jne(last);
            c.mov(eax, __dword_ptr[ecx + 4]);
            c.PrintEax();
            c.mov(eax, __dword_ptr[ecx + 8]);
            c.PrintEax();
            c.PowerOff();
        })) with
        { Memory = new MemoryOptions((3UL << 30) + (64 << 20)) };
        Run(options);
        byte[] output = File.ReadAllBytes(Output);
        BinaryPrimitives.ReadUInt32LittleEndian(output).Should().Be(1, "it starts at 4 GiB");
        BinaryPrimitives.ReadUInt32LittleEndian(output.AsSpan(4)).Should().Be(64 << 20);
    }

    [KvmTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void Memory_can_be_anonymous_or_shared(bool shared)
    {
        MachineOptions options = Options(TinyKernel.Linux64(c =>
        {
            c.Print("ok");
            c.PowerOff();
        })) with
        { Memory = new MemoryOptions(64 << 20, Shared: shared) };
        Run(options).Reason.Should().Be(MachineExitReason.PowerOff);
    }

    [KvmFact]
    public void A_restarted_machine_continues_the_file_of_its_serial_port()
    {
        MachineOptions options = Options(TinyKernel.Linux64(c =>
        {
            c.Print("boot ");
            c.Out8(0x60C, 1);
            c.Spin();
        }));
        Run(options).Reason.Should().Be(MachineExitReason.Reset);
        Run(options with { AppendOutput = true }).Reason.Should().Be(MachineExitReason.Reset);
        File.ReadAllText(Output).Should().Be("boot boot ");
        Run(options);
        File.ReadAllText(Output).Should().Be("boot ");
    }

    [KvmFact]
    [Trait("Behaviour", "KVM-6")]
    [Trait("Behaviour", "KVM-9")]
    public void Machines_that_come_and_go_leave_no_open_file_and_no_lock_behind()
    {
        string disk = Path.Combine(_folder.FullName, "disk");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        MachineOptions options = Options(TinyKernel.Linux64(c => c.PowerOff())) with { Devices = [new DiskOptions(disk)] };
        MachineOptions failing = options with { Devices = [.. options.Devices, new EntropyOptions(Path.Combine(_folder.FullName, "absent"))] };
        Run(options);
        for (int i = 0; i < 5; i++)
        {
            Run(options).Reason.Should().Be(MachineExitReason.PowerOff);
            ((Action)(() => VirtualMachine.Create(failing))).Should().Throw<MachineException>().Which.Part.Should().Be("rng");
        }

        Directory.GetFiles("/proc/self/fd").Select(LinkTarget).Should().NotContain(
            target => target.StartsWith(_folder.FullName, StringComparison.Ordinal));
    }

    /// <summary>What a descriptor is open on; other tests open and close theirs meanwhile.</summary>
    internal static string LinkTarget(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget ?? "";
        }
        catch (IOException)
        {
            return "";
        }
    }

    private static MachineExit Wait(VirtualMachine machine)
    {
        Task<MachineExit> exit = Task.Run(() => machine.WaitForExit());
        exit.Wait(Patience).Should().BeTrue("the machine has to end");
        return exit.Result;
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

    private MachineExit Run(byte[] kernel) => Run(Options(kernel));

    private static MachineExit Run(MachineOptions options)
    {
        using var machine = VirtualMachine.Create(options);
        machine.Start();
        return Wait(machine);
    }
}
