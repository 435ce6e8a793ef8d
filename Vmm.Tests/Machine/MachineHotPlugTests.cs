using System;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Kvm;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Pci.Bridges;
using Vmm.Tests.Kvm;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Machine;

/// <summary>
/// Functions that come and go on a machine with real registrations in /dev/kvm; what the guest does is done by <see cref="MachineGuest"/>.
/// </summary>
[Trait("Behaviour", "PCI-12")]
public sealed class MachineHotPlugTests : IDisposable
{
    private static readonly TimeSpan Patience = KvmAvailability.Patience(60);
    private static readonly TimeSpan DriverLimit = TimeSpan.FromSeconds(KvmAvailability.IsEmulated ? 10 : 3);
    private static readonly int Disks = KvmAvailability.Rounds(50, 10);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmm-hot-plug");
    private readonly byte[] _content = RandomNumberGenerator.GetBytes(1 << 20);

    private string Disk => Path.Combine(_folder.FullName, "disk");

    public void Dispose() => _folder.Delete(true);

    [KvmFact]
    [Trait("Behaviour", "KVM-6")]
    [Trait("Behaviour", "LIFE-5")]
    public async Task Disks_come_and_go_in_the_middle_of_their_work_and_leave_nothing()
    {
        string name = $"hp{Environment.ProcessId % 100000}";
        using VirtualMachine machine = Create("port1");
        PciRootPort port = machine.RootPorts.Single();
        KvmResourceCounts before = machine.ResourceCounts;
        for (int round = 0; round < Disks; round++)
        {
            machine.HotAdd(new DiskOptions(Disk, ReadOnly: true) { Id = name }).Should().Be(name);
            var guest = new MachineGuest(machine.MemorySpace, machine.CreateDmaTarget().Memory, port);
            guest.PowerOn();
            var driver = VirtioBlockDriver.Open(guest, new VirtioDriverOptions { Completion = CompletionMode.Polling, Timeout = DriverLimit });
            byte[] read = new byte[4096];
            driver.Read(8, read);
            read.Should().Equal(_content.AsSpan(4096, 4096).ToArray());
            machine.ResourceCounts.Doorbells.Should().Be(before.Doorbells + 1);
            Threads(name).Should().NotBe(0);

            // A reader that lost its disk waits for its whole time limit: not in every round.
            bool stop = false;
            Task reader = round % 16 < 2 ? Task.Run(() => ReadOnAndOn(driver, () => Volatile.Read(ref stop))) : Task.CompletedTask;
            Task removal = machine.HotRemoveAsync(name, round % 2 == 0 ? SlotRemoval.Orderly : SlotRemoval.Surprise);
            if (round % 2 == 0)
            {
                removal.IsCompleted.Should().BeFalse("the guest has not let go");
                (guest.SlotStatus & 1).Should().Be(1, "the attention button was pressed");
                guest.Release();
            }

            await removal.WaitAsync(Patience);
            machine.ResourceCounts.Should().Be(before);
            SpinWait.SpinUntil(() => Threads(name) == 0, Patience).Should().BeTrue("the system takes a moment to forget a thread that has ended");
            OpenFiles().Should().Be(0);
            port.Secondary.Functions.Should().BeEmpty();
            Volatile.Write(ref stop, true);
            await reader.WaitAsync(Patience);
        }

        port.IsOccupied.Should().BeFalse();
    }

    [KvmFact]
    public async Task A_slot_takes_the_next_device_when_all_of_the_last_one_is_gone()
    {
        using VirtualMachine machine = Create("a", "b");
        machine.HotAdd(new DiskOptions(Disk, ReadOnly: true), "a");
        machine.Invoking(m => m.HotAdd(new DiskOptions(Disk, ReadOnly: true), "a")).Should().Throw<InvalidOperationException>();
        OpenFiles().Should().Be(1, "what could not be added is closed");
        var guest = new MachineGuest(machine.MemorySpace, machine.CreateDmaTarget().Memory, machine.RootPorts[0]);
        guest.PowerOn();
        Task removal = machine.HotRemoveAsync("disk0", SlotRemoval.Orderly);
        machine.HotRemoveAsync("disk0", SlotRemoval.Orderly).Should().BeSameAs(removal);
        machine.Invoking(m => m.HotAdd(new DiskOptions(Disk, ReadOnly: true), "a"))
            .Should().Throw<InvalidOperationException>().WithMessage("*not all gone*");
        machine.HotAdd(new DiskOptions(Disk, ReadOnly: true), "b");
        await machine.HotRemoveAsync("disk0", SlotRemoval.Surprise).WaitAsync(Patience);
        removal.IsCompletedSuccessfully.Should().BeTrue("a surprise ends the wait");
        machine.HotAdd(new DiskOptions(Disk, ReadOnly: true), "a");
        OpenFiles().Should().Be(2);
    }

    [KvmFact]
    public async Task A_machine_that_ends_takes_its_slots_along()
    {
        VirtualMachine machine = Create("a", "b");
        machine.HotAdd(new DiskOptions(Disk, ReadOnly: true), "a");
        machine.HotAdd(new DiskOptions(Disk, ReadOnly: true), "b");
        new MachineGuest(machine.MemorySpace, machine.CreateDmaTarget().Memory, machine.RootPorts[0]).PowerOn();
        Task removal = machine.HotRemoveAsync("disk0", SlotRemoval.Orderly);
        machine.Dispose();
        await removal.WaitAsync(Patience);
        OpenFiles().Should().Be(0);
        machine.Invoking(m => m.HotAdd(new DiskOptions(Disk, ReadOnly: true), "a")).Should().Throw<ObjectDisposedException>();
        machine.Invoking(m => { _ = m.HotRemoveAsync("disk1", SlotRemoval.Surprise); }).Should().Throw<ObjectDisposedException>();
        OpenFiles().Should().Be(0);
    }

    [KvmFact]
    public void What_is_wrong_with_ports_is_said()
    {
        using VirtualMachine machine = Create("a");
        machine.Invoking(m => m.HotAdd(new DiskOptions(Disk), "x")).Should().Throw<ArgumentException>().WithMessage("*no root port x*");
        machine.Invoking(m => { _ = m.HotRemoveAsync("x", SlotRemoval.Orderly); }).Should().Throw<ArgumentException>().WithMessage("*no device x*");
        machine.Invoking(m => m.HotAdd(new DiskOptions(Disk + "x"), "a")).Should().Throw<MachineException>().Which.Part.Should().Be("disk");
        OpenFiles().Should().Be(0);
        FluentActions.Invoking(() => VirtualMachine.Create(Options() with { RootPorts = [Port("a", 1), Port("a", 2)] })).Should()
            .Throw<MachineException>().WithMessage("root-port a: *name*");
        FluentActions.Invoking(() => VirtualMachine.Create(Options() with { RootPorts = [Port("a", 3), Port("b", 3)] })).Should()
            .Throw<MachineException>().WithMessage("root-port a: *slot number 3*");
        FluentActions.Invoking(() => VirtualMachine.Create(
            Options() with { RootPorts = [.. Enumerable.Range(1, 32).Select(static i => Port($"p{i}", i))] }))
            .Should().Throw<MachineException>().WithMessage("*do not fit*");
    }

    [KvmFact]
    public void Ports_come_after_the_devices_with_a_bus_and_windows_each()
    {
        MachineOptions options = Options() with
        {
            Devices = [new DiskOptions(Disk), new EntropyOptions("/dev/urandom")],
            RootPorts = [Port("a", 7), Port("b", 9)],
        };
        using var machine = VirtualMachine.Create(options);
        machine.RootPorts.Select(static port => port.Address.ToString()).Should().Equal("00:03.0", "00:04.0");
        machine.RootPorts.Select(static port => (port.PrimaryBusNumber, port.SecondaryBusNumber, port.SubordinateBusNumber))
            .Should().Equal((0, 1, 1), (0, 2, 2));
        machine.RootPorts.Should().OnlyContain(static port => port.MemoryWindow.Limit - port.MemoryWindow.Base == 0x1f_ffff
            && port.PrefetchableWindow.Limit - port.PrefetchableWindow.Base == 0x1ff_ffff && port.PrefetchableWindow.Base > uint.MaxValue);
        machine.RootPorts[0].MemoryWindow.Should().NotBe(machine.RootPorts[1].MemoryWindow);
        (machine.HostBridge.Root.InterruptRouting.FirstGsi, machine.HostBridge.Root.PortInterruptRouting.FirstGsi)
            .Should().Be((16, 20), "no wire is shared");
    }

    private static void ReadOnAndOn(VirtioBlockDriver driver, Func<bool> stop)
    {
        byte[] read = new byte[64 * 1024];
        try
        {
            while (!stop())
            {
                driver.Read(0, read);
            }
        }
        catch (DriverException)
        {
            // It vanished under us.
        }
    }

    /// <summary>How many threads have a device's name in theirs.</summary>
    private static int Threads(string name)
    {
        return Directory.GetDirectories("/proc/self/task").Count(task =>
        {
            try
            {
                return File.ReadAllText(Path.Combine(task, "comm")).Contains(name, StringComparison.Ordinal);
            }
            catch (IOException)
            {
                return false;
            }
        });
    }

    private static PciRootPortOptions Port(string name, int slot) => new() { Name = name, SlotNumber = slot };

    /// <summary>How many descriptors are open on the disk.</summary>
    private int OpenFiles() => Directory.GetFiles("/proc/self/fd").Count(path => VirtualMachineTests.LinkTarget(path) == Disk);

    private VirtualMachine Create(params string[] ports)
    {
        return VirtualMachine.Create(Options() with { RootPorts = [.. ports.Select(static (name, i) => Port(name, i + 1))] });
    }

    private MachineOptions Options()
    {
        string kernel = Path.Combine(_folder.FullName, "kernel");
        File.WriteAllBytes(kernel, TinyKernel.Linux64(static c => c.PowerOff()));
        File.WriteAllBytes(Disk, _content);
        return new MachineOptions
        {
            KernelPath = kernel,
            Memory = new MemoryOptions(64 << 20),
            Serial = new CharacterOptions(CharacterKind.Off),
        };
    }
}
