using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Bus;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Pci;
using Vmm.Pci.Bridges;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Machine;

/// <summary>All devices of a machine on fakes of a hypervisor's seams: they are built, come and go, with no /dev/kvm.</summary>
[Trait("Behaviour", "CON-5")]
public sealed class MachineDevicesTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly byte[] _content = RandomNumberGenerator.GetBytes(1 << 20);
    private readonly TemporaryFile _disk;
    private readonly TemporaryFile _console = new();

    public MachineDevicesTests() => _disk = new TemporaryFile(_content);

    public void Dispose()
    {
        _disk.Dispose();
        _console.Dispose();
    }

    [Fact]
    public void Every_kind_has_its_slot_in_the_order_of_the_options()
    {
        var kinds = new DeviceCatalogue(
            new DiskKind(), new NetKind(static options => [.. Enumerable.Range(0, options.Pairs).Select(static _ => new FakeNetBackend())]),
            new EntropyKind(), new ConsoleKind(), new EduKind());
        using var rig = new MachineRig(MachineRig.Options with
        {
            Catalogue = kinds,
            Devices =
            [
                new EduOptions(9),
                new EntropyOptions(),
                new DiskOptions(_disk.Path, ReadOnly: true),
                new NetOptions("tap0", Pairs: 2),
                new ConsoleOptions(new CharacterOptions(CharacterKind.File, _console.Path)),
                new FunctionOptions(static context => Plain(context.Id)),
                new DiskOptions(_disk.Path, ReadOnly: true) { Id = "second" },
            ],
            RootPorts = [Port(1), Port(2)],
        });

        rig.Devices.Devices.Select(device => (device.Id, device.Function.Name, device.Function.Address.ToString())).Should().Equal(
            ("edu0", "edu0", "00:01.0"), ("rng", "rng", "00:02.0"), ("disk0", "disk0", "00:03.0"), ("net0", "net0", "00:04.0"),
            ("console", "console", "00:05.0"), ("function0", "function0", "00:06.0"), ("second", "second", "00:07.0"));
        rig.Devices.Slots.Ports.Select(port => port.Address.ToString()).Should().Equal("00:08.0", "00:09.0");
    }

    [Fact]
    [Trait("Behaviour", "BUS-13")]
    public void Every_claim_belongs_to_a_device_that_a_trace_can_be_asked_for()
    {
        MachineOptions options = MachineRig.Options with
        {
            Devices = [new DiskOptions(_disk.Path, ReadOnly: true), new EntropyOptions(), new FunctionOptions(static context => Plain(context.Id))],
            RootPorts = [Port(1)],
        };
        using var rig = new MachineRig(options);
        foreach (PciFunction function in rig.Devices.HostBridge.Root.Functions)
        {
            // What decodes is there to be seen.
            function.WriteConfiguration(4, 2, 3);
        }

        IEnumerable<string> claimed = rig.Memory.Segments.Concat(rig.Ports.Segments)
            .Where(static segment => segment.Claim is HandlerClaim).Select(static segment => segment.Claim.Device).Distinct();
        IReadOnlyList<string> named = MachineTrace.DeviceNames(options);
        claimed.Should().BeSubsetOf(named).And.Contain(["disk0", "rng", "pci"]);
        named.Should().OnlyHaveUniqueItems().And.Contain(["function0", options.RootPorts[0].Name, "host-bridge", "serial"]);
        rig.Devices.HostBridge.Root.Functions.Select(static function => function.Name).Should().BeSubsetOf(named);
    }

    [Fact]
    [Trait("Behaviour", "CON-3")]
    public async Task A_device_that_takes_its_time_to_stop_holds_up_no_other_slot()
    {
        using var entered = new ManualResetEventSlim();
        using var gate = new ManualResetEventSlim();
        using var rig = new MachineRig(MachineRig.Options with { RootPorts = [Port(1), Port(2)] });
        string slow = rig.Devices.HotAdd(new FunctionOptions(context => new SlowToReset(context.Id, entered, gate)), null);
        Task<Task> removing = Task.Factory.StartNew(
            () => rig.Devices.HotRemoveAsync(slow, SlotRemoval.Surprise), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        entered.Wait(Patience).Should().BeTrue();

        Task<string> adding = Task.Factory.StartNew(
            () => rig.Devices.HotAdd(new DiskOptions(_disk.Path, ReadOnly: true), null), CancellationToken.None, TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        string disk = await adding.WaitAsync(Patience);
        await rig.Devices.HotRemoveAsync(disk, SlotRemoval.Surprise).WaitAsync(Patience);

        removing.IsCompleted.Should().BeFalse("the slow one has not been let go");
        gate.Set();
        await (await removing.WaitAsync(Patience)).WaitAsync(Patience);
        rig.Devices.Devices.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "PCI-12")]
    public async Task A_disk_is_added_by_its_options_read_by_the_guest_and_removed_by_its_id()
    {
        using var rig = new MachineRig(MachineRig.Options with { RootPorts = [Port(1), Port(2)] });
        int slots = rig.Hypervisor.MemorySlots.Mapped.Count;
        for (int round = 0; round < 4; round++)
        {
            string id = rig.Devices.HotAdd(new DiskOptions(_disk.Path, ReadOnly: true), null);
            id.Should().Be("disk0");
            MachineGuest guest = rig.Guest();
            guest.PowerOn();

            // Not closed: it would wait for a device that is gone.
            var driver = VirtioBlockDriver.Open(guest, new VirtioDriverOptions { Completion = CompletionMode.Polling, Timeout = Patience });
            byte[] read = new byte[4096];
            driver.Read(8, read);
            read.Should().Equal(_content.AsSpan(4096, 4096).ToArray());
            rig.Hypervisor.Doorbells.Registered.Should().ContainSingle();

            Task removal = rig.Devices.HotRemoveAsync(id, SlotRemoval.Orderly);
            removal.IsCompleted.Should().BeFalse("the guest has not let go");
            rig.Devices.HotRemoveAsync(id, SlotRemoval.Orderly).Should().BeSameAs(removal);
            rig.Devices.Devices.Should().ContainSingle("it is there until it is all gone");
            guest.Release();
            await removal.WaitAsync(Patience);

            rig.Devices.Devices.Should().BeEmpty();
            rig.Hypervisor.Doorbells.Registered.Should().BeEmpty();
            rig.Hypervisor.MemorySlots.Mapped.Should().HaveCount(slots);
        }
    }

    [Fact]
    public async Task Ids_are_unique_whoever_gives_them()
    {
        using var rig = new MachineRig(MachineRig.Options with
        {
            Devices = [new EntropyOptions(), new DiskOptions(_disk.Path, ReadOnly: true)],
            RootPorts = [Port(1), Port(2), Port(3)],
        });
        FluentActions.Invoking(() => rig.Devices.HotAdd(new EntropyOptions("/dev/zero") { Id = "disk0" }, null))
            .Should().Throw<MachineException>().WithMessage($"rng id=disk0: *disk {_disk.Path}*rng /dev/zero*");
        FluentActions.Invoking(() => rig.Devices.HotAdd(new EntropyOptions { Id = "port2" }, null))
            .Should().Throw<MachineException>().WithMessage("*root port*");
        rig.Devices.HotAdd(new EntropyOptions(), null).Should().Be("rng1", "the first has its name from the kind");
        rig.Devices.HotAdd(new DiskOptions(_disk.Path, ReadOnly: true) { Id = "disk2" }, "port3").Should().Be("disk2");
        rig.Devices.HotAdd(new DiskOptions(_disk.Path, ReadOnly: true), null).Should().Be("disk1");
        FluentActions.Invoking(() => rig.Devices.HotAdd(new DiskOptions(_disk.Path, ReadOnly: true), null))
            .Should().Throw<InvalidOperationException>().WithMessage("no root port has an empty slot");

        await rig.Devices.HotRemoveAsync("disk1", SlotRemoval.Surprise).WaitAsync(Patience);
        rig.Devices.HotAdd(new EntropyOptions { Id = "disk1" }, null).Should().Be("disk1", "the name is free again");
        rig.Devices.Devices.Select(device => device.Id).Should().Equal("rng", "disk0", "rng1", "disk2", "disk1");
    }

    [Fact]
    public void Two_devices_of_the_options_with_one_id_are_both_named_and_nothing_is_left()
    {
        MachineOptions options = MachineRig.Options with
        {
            Devices = [new DiskOptions(_disk.Path, ReadOnly: true) { Id = "net0" }, new EntropyOptions("/dev/zero") { Id = "net0" }],
        };
        FluentActions.Invoking(() => new MachineRig(options))
            .Should().Throw<MachineException>().WithMessage($"rng id=net0: another device has this id: disk {_disk.Path}; rng /dev/zero*");
        options = MachineRig.Options with { Devices = [new EntropyOptions { Id = " " }] };
        FluentActions.Invoking(() => new MachineRig(options)).Should().Throw<MachineException>().WithMessage("*empty id*");
    }

    [Fact]
    public void What_cannot_be_removed_says_why()
    {
        using var rig = new MachineRig(MachineRig.Options with { Devices = [new EntropyOptions()], RootPorts = [Port(1)] });
        FluentActions.Invoking(() => { _ = rig.Devices.HotRemoveAsync("disk0", SlotRemoval.Orderly); }).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => { _ = rig.Devices.HotRemoveAsync("rng", SlotRemoval.Orderly); })
            .Should().Throw<InvalidOperationException>().WithMessage("rng is not in the slot of a root port*");
    }

    [Fact]
    public void An_addition_that_fails_leaves_name_and_slot_free()
    {
        using var rig = new MachineRig(MachineRig.Options with { RootPorts = [Port(1)] });
        FluentActions.Invoking(() => rig.Devices.HotAdd(new DiskOptions(_disk.Path + "x") { Id = "d" }, null))
            .Should().Throw<MachineException>().Which.Subject.Should().Be(_disk.Path + "x");
        FluentActions.Invoking(() => rig.Devices.HotAdd(new DiskOptions(_disk.Path) { Id = "d" }, "port7"))
            .Should().Throw<ArgumentException>().WithMessage("*no root port port7*");
        FluentActions.Invoking(() => rig.Devices.HotAdd(new FunctionOptions(static _ => throw new IOException("mine")) { Id = "d" }, null))
            .Should().Throw<IOException>().WithMessage("mine");
        rig.Devices.HotAdd(new DiskOptions(_disk.Path) { Id = "d" }, "port1").Should().Be("d");
        FluentActions.Invoking(() => rig.Devices.HotAdd(new EntropyOptions(), "port1")).Should().Throw<InvalidOperationException>();
        rig.Devices.Devices.Should().ContainSingle();
    }

    [Fact]
    public async Task The_host_takes_a_device_back_from_the_root_bus_and_from_a_slot()
    {
        DeviceContext? cold = null, hot = null;
        using var rig = new MachineRig(MachineRig.Options with
        {
            Devices = [new FunctionOptions(context => Plain((cold = context).Id)) { Id = "cold" }],
            RootPorts = [Port(1)],
        });
        rig.Devices.HotAdd(new FunctionOptions(context => Plain((hot = context).Id)) { Id = "hot" }, null);
        foreach (DeviceContext context in (DeviceContext[])[cold!, hot!])
        {
            PciFunction function = rig.Devices.Devices.Single(device => device.Id == context.Id).Function;
            context.RequestRemoval(function);
            context.RequestRemoval(function);
            await Task.Run(() => SpinWait.SpinUntil(() => rig.Devices.Devices.All(device => device.Function != function), Patience));
            rig.Devices.Devices.Should().NotContain(device => device.Function == function);
        }

        rig.Devices.HotAdd(new FunctionOptions(static context => Plain(context.Id)) { Id = "cold" }, null).Should().Be("cold");
        cold!.StopMachine("cold: broken");
        rig.Stops.Should().ContainSingle().Which.Message.Should().Be("cold: broken");
    }

    [Fact]
    public void What_devices_share_is_made_once_and_goes_last()
    {
        var order = new List<string>();
        int made = 0;
        PciFunction Create(DeviceContext context)
        {
            context.Share(() => new Part(order, ++made)).Number.Should().Be(1);
            return new Noting(context.Id, order);
        }

        var rig = new MachineRig(MachineRig.Options with { Devices = [new FunctionOptions(Create), new FunctionOptions(Create)] });
        rig.Dispose();
        order.Should().Equal("function1", "function0", "part 1");
    }

    [Fact]
    public void More_than_the_bus_takes()
    {
        MachineOptions options = MachineRig.Options with { RootPorts = [.. Enumerable.Range(1, 31).Select(Port)] };
        using (var rig = new MachineRig(options))
        {
            rig.Devices.Slots.Ports.Should().HaveCount(31);
        }

        FluentActions.Invoking(() => new MachineRig(options with { Devices = [new EntropyOptions()] }))
            .Should().Throw<MachineException>().WithMessage("*more than 31*do not fit*");
    }

    private static PciRootPortOptions Port(int number) => new() { Name = $"port{number}", SlotNumber = number };

    private static PciFunction Plain(string name)
    {
        return new PciFunction(
            new PciIdentity { VendorId = 0x1b36, DeviceId = 1, ClassCode = 0xff0000 }, new PciFunctionOptions { Name = name });
    }

    private sealed class Part(List<string> order, int number) : IDisposable
    {
        public int Number => number;

        public void Dispose() => order.Add($"part {number}");
    }

    private sealed class Noting(string name, List<string> order)
        : PciFunction(new PciIdentity { VendorId = 0x1b36, DeviceId = 1, ClassCode = 0xff0000 }, new PciFunctionOptions { Name = name })
    {
        protected override void Dispose(bool disposing)
        {
            base.Dispose(disposing);
            order.Add(Name);
        }
    }

    private sealed class SlowToReset(string name, ManualResetEventSlim entered, ManualResetEventSlim gate)
        : PciFunction(new PciIdentity { VendorId = 0x1234, DeviceId = 1, ClassCode = 0xff0000 }, new PciFunctionOptions { Name = name })
    {
        protected override void OnReset()
        {
            entered.Set();
            gate.Wait(Patience);
        }
    }
}
