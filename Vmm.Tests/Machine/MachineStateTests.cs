using System;
using System.Diagnostics;
using System.Linq;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.State;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Pci;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Machine;

/// <summary>Whole machines on fakes: paused, saved, and restored into others of the same make.</summary>
[Trait("Behaviour", "CON-4")]
[Trait("Behaviour", "LIFE-2")]
public sealed class MachineStateTests
{
    private const ushort Serial = 0x3f8;
    private const ushort Power = 0x600;
    private static readonly DateTimeOffset _start = new(2024, 2, 28, 23, 59, 58, TimeSpan.Zero);

    public static TheoryData<bool, bool, bool, bool> Rings => new()
    {
        { false, false, false, false },
        { false, true, false, false },
        { false, false, true, false },
        { false, true, true, true },
        { true, false, false, false },
        { true, true, false, false },
        { true, false, true, false },
        { true, true, true, true },
    };

    [Theory]
    [MemberData(nameof(Rings))]
    public void A_guest_goes_on_in_another_machine_where_it_stood(bool packed, bool eventIndex, bool indirect, bool inOrder)
    {
        var transport = new VirtioPciOptions { PackedRing = packed, EventIndex = eventIndex, IndirectDescriptors = indirect, InOrder = inOrder };
        byte[] content = RandomNumberGenerator.GetBytes(1 << 20);
        using var guest = new MovingGuest();
        using var first = new FurnishedMachine(transport, guest.Ram, content);
        guest.MoveTo(first.Rig);
        first.Rig.Guest().PowerOn();
        var drivers = new GuestDrivers(guest);
        Check(drivers.Features, RingFeatures.Packed, packed);
        Check(drivers.Features, RingFeatures.EventIndex, eventIndex);
        Check(drivers.Features, RingFeatures.IndirectDescriptors, indirect);
        Check(drivers.Features, RingFeatures.InOrder, inOrder);
        drivers.Work(first, content);
        drivers.ChangeMac(new MacAddress(0x52_54_00_65_43_21));
        Program(first.Rig);
        first.Time.Advance(TimeSpan.FromSeconds(1));

        first.Pause();
        drivers.Post();
        string json = first.Save();
        first.Save().Should().Be(json, "saving changes nothing");

        using var second = new FurnishedMachine(transport, guest.Ram, first.Content, _start + TimeSpan.FromHours(3));
        second.Restore(json);
        second.Save().Should().Be(json);
        guest.MoveTo(second.Rig);
        second.Resume();

        drivers.TakePosted(content);
        drivers.Mac.Should().Be(new MacAddress(0x52_54_00_65_43_21));
        drivers.Work(second, content);
        CheckProgrammed(first.Rig, second);
        second.Functions.Should().OnlyContain(static function => function.Faults == 0 && function.DeviceFailures == 0);
        drivers.Dispose();
    }

    [Fact]
    public void A_state_of_another_make_is_refused_by_name()
    {
        MachineOptions options = MachineRig.Options with { Time = new ManualTime(_start) };
        using var rig = new MachineRig(options);
        using var larger = new MachineRig(options with { Memory = new MemoryOptions(128 << 20), CpuCount = 2 });
        using var equipped = new MachineRig(options with { Devices = [new EntropyOptions()] });
        ComponentState state = ComponentTree.Save(rig.Component);

        foreach ((MachineRig other, string path) in new[] { (larger, "machine/memory"), (equipped, "machine/pci/parts") })
        {
            string before = ComponentTree.Save(other.Component).ToJson();
            Action restore = () => ComponentTree.Restore(other.Component, state);
            restore.Should().Throw<StateException>().Which.Path.Should().Be(path);
            ComponentTree.Save(other.Component).ToJson().Should().Be(before);
        }
    }

    [Fact]
    [Trait("Behaviour", "CON-6")]
    public void A_machine_that_runs_is_shown_without_a_side_effect()
    {
        byte[] content = RandomNumberGenerator.GetBytes(1 << 20);
        using var guest = new MovingGuest();
        using var machine = new FurnishedMachine(memory: guest.Ram, content: content);
        guest.MoveTo(machine.Rig);
        machine.Rig.Guest().PowerOn();
        using var drivers = new GuestDrivers(guest);
        Program(machine.Rig);
        machine.Pause();
        string before = machine.Save();
        machine.Resume();

        InspectionNode node = ComponentTree.Inspect(machine.Rig.Component);

        node.Parts.Select(static part => part.Name).Should().Equal("pci", "reset-control", "serial", "rtc", "acpi", "i8042");
        node.Find("serial")!.TextOf("scr").Should().Be("0x5a");
        node.Find("serial")!.TextOf("received").Should().Be("1");
        node.Find("rtc")!.TextOf("time").Should().Be("2031-02-28 23:59:58");
        node.Find("acpi")!.TextOf("pm1_enable").Should().Be("0x0120");
        InspectionNode port = node.Find("pci")!.Find("06.0")!;
        port.Find("slot")!.TextOf("occupied").Should().Be("yes");
        port.Find("00.0")!.Find("transport")!.TextOf("status").Should().Contain(nameof(DeviceStatus.DriverOk));
        machine.Pause();
        machine.Save().Should().Be(before);
        machine.Resume();
        drivers.Work(machine, content);
    }

    [Fact]
    [Trait("Behaviour", "CON-3")]
    public async Task A_disk_whose_backend_is_stuck_keeps_itself_alone_from_being_paused()
    {
        using var gate = new ManualResetEventSlim();
        var stuck = new GatedBlockBackend(() => gate.Wait(FurnishedMachine.Patience));
        using var guest = new MovingGuest();
        using var rig = new MachineRig(
            MachineRig.Options with
            {
                Devices =
                [
                    new EntropyOptions(),
                    new FunctionOptions(context => new VirtioPciFunction(new BlockDevice(stuck), context.CreateDmaTarget())),
                    new EntropyOptions { Id = "rng2" },
                ],
            },
            memory: guest.Ram);
        guest.MoveTo(rig);
        using var before = VirtioEntropyDriver.Open(guest.Reach(new PciAddress(0, 1, 0)));
        using var disk = VirtioBlockDriver.Open(guest.Reach(new PciAddress(0, 2, 0)));
        using var after = VirtioEntropyDriver.Open(guest.Reach(new PciAddress(0, 3, 0)));
        VirtioPciFunction[] functions = [.. rig.Devices.Devices.Select(static device => (VirtioPciFunction)device.Function)];
        var read = Task.Run(() => disk.Read(0, new byte[512]));
        stuck.Entered.Wait(FurnishedMachine.Patience).Should().BeTrue();

        var watch = Stopwatch.StartNew();
        functions.Select(static function => function.TryPause(TimeSpan.FromMilliseconds(100))).Should().Equal(true, false, true);
        watch.Elapsed.Should().BeGreaterThan(TimeSpan.FromMilliseconds(90)).And.BeLessThan(TimeSpan.FromSeconds(5));

        Action save = () => ComponentTree.Save(rig.Component);
        save.Should().Throw<InvalidOperationException>();
        Task[] reads = [.. new[] { before, after }.Select(static driver => Task.Run(() => driver.Read(new byte[64])))];
        await Task.Delay(50);
        reads.Should().OnlyContain(static task => !task.IsCompleted, "a paused device begins nothing");
        Array.ForEach(functions, static function => function.Resume());
        await Task.WhenAll(reads).WaitAsync(FurnishedMachine.Patience);
        read.IsCompleted.Should().BeFalse();

        gate.Set();
        await read.WaitAsync(FurnishedMachine.Patience);
        functions.Select(static function => function.TryPause(FurnishedMachine.Patience)).Should().Equal(true, true, true);
        save.Should().NotThrow();
        Array.ForEach(functions, static function => function.Resume());
        disk.Read(0, new byte[512]);
    }

    private static void Check(ulong features, ulong bit, bool expected) => ((features & bit) != 0).Should().Be(expected);

    /// <summary>Gives every register outside PCI functions that has state another value than at power-on.</summary>
    private static void Program(MachineRig rig)
    {
        void Out(ushort port, int width, ulong value) => rig.Ports.Write(port, width, value);
        void Clock(byte index, byte value)
        {
            Out(0x70, 1, index);
            Out(0x71, 1, value);
        }

        // The divisor; FIFOs with the trigger level 8; loopback, to have a character in the FIFO; then OUT2 and interrupts.
        Out(Serial + 3, 1, 0x83);
        Out(Serial, 1, 1);
        Out(Serial + 1, 1, 0);
        Out(Serial + 3, 1, 0x03);
        Out(Serial + 2, 1, 0x81);
        Out(Serial + 4, 1, 0x1b);
        Out(Serial, 1, 'x');
        Out(Serial + 4, 1, 0x0b);
        Out(Serial + 1, 1, 0x03);
        Out(Serial + 7, 1, 0x5a);

        // Seven years ahead, an alarm that is enabled, a byte of memory.
        Clock(0x0a, 0x2f);
        Clock(0x09, 0x31);
        Clock(0x0b, 0x22);
        Clock(0x05, 0x12);
        Clock(0x40, 0x77);
        Out(Power + 2, 2, 0x0120);
        Out(Power + 4, 2, 0x1c01);
        Out(0xcf8, 4, 0x8000_0810);
        Out(0xcf9, 1, 0x02);
    }

    /// <summary>The second machine's registers are the first one's, and its clocks those of their kind.</summary>
    private static void CheckProgrammed(MachineRig first, FurnishedMachine second)
    {
        MachineRig rig = second.Rig;
        ulong In(ushort port, int width = 1) => rig.Ports.Read(port, width);
        ulong Clock(byte index)
        {
            rig.Ports.Write(0x70, 1, index);
            return In(0x71);
        }

        In(Serial + 7).Should().Be(0x5a);
        In(Serial + 1).Should().Be(3);
        In(Serial + 2).Should().Be(0xcc, "a character waits below the trigger level");
        (In(Serial + 5) & 1).Should().Be(1);
        In(Serial).Should().Be('x');
        (In(Serial + 5) & 1).Should().Be(0);
        In(Serial + 2).Should().Be(0xc2, "the transmitter's interrupt was pending");
        In(Serial + 3).Should().Be(3);
        rig.Ports.Write(Serial + 3, 1, 0x83);
        In(Serial).Should().Be(1);
        In(Power + 2, 2).Should().Be(0x0120);
        In(Power + 4, 2).Should().Be(0x1c01);
        In(0xcf8, 4).Should().Be(0x8000_0810);
        In(0xcf9).Should().Be(0x02);
        Clock(0x40).Should().Be(0x77);
        Clock(0x05).Should().Be(0x12);
        Clock(0x0a).Should().Be(0x2f);
        Clock(0x0b).Should().Be(0x22);

        // Time of the day has passed on the shelf, and the timer's has not.
        (Clock(0x09), Clock(0x07), Clock(0x04), Clock(0x02)).Should().Be((0x31UL, 0x01UL, 0x02UL, 0x59UL));
        In(Power + 8, 4).Should().Be(first.Ports.Read(Power + 8, 4));
        second.Time.Advance(TimeSpan.FromSeconds(1));
        In(Power + 8, 4).Should().Be(first.Ports.Read(Power + 8, 4) + 3_579_545);
    }
}
