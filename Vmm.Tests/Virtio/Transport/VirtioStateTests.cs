using System;
using System.Collections.Generic;
using System.IO.Pipes;
using System.Threading;
using Vmm.DeviceModel.State;
using Vmm.Tests.Fakes;
using Vmm.Tests.Virtio.Devices;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;
using Xunit.Abstractions;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>Pausing virtio functions, saving them, and going on in another machine of the same make.</summary>
[Trait("Behaviour", "CON-4")]
public sealed class VirtioStateTests(ITestOutputHelper output)
{
    private const int Moved = 1 << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    public static TheoryData<bool, bool, bool, bool> Rings => new()
    {
        { false, false, false, true },
        { false, true, false, true },
        { false, true, true, true },
        { true, false, false, true },
        { true, true, false, true },
        { true, true, true, true },
        { false, true, false, false },
        { true, true, false, false },
    };

    [Theory]
    [MemberData(nameof(Rings))]
    public void A_disk_goes_on_in_another_machine_where_it_stood(bool packed, bool eventIndex, bool inOrder, bool messages)
    {
        var options = new VirtioPciOptions
        {
            PackedRing = packed,
            EventIndex = eventIndex,
            InOrder = inOrder,
            Vectors = messages ? null : 0,
        };
        var before = new GatedBlockBackend(static () => { });
        var after = new GatedBlockBackend(static () => { });
        using var first = new VirtioFunctionRig(new BlockDevice(before), options);
        using var second = new VirtioFunctionRig(new BlockDevice(after), options);
        first.Start();
        for (int i = 0; i < 700; i++)
        {
            // More than twice round the ring, so that indices and wrap counters are not those of the start.
            Read(first);
            first.Kick();
            first.WaitUsed();
        }

        first.Function.TryPause(Patience).Should().BeTrue();
        int calls = before.Calls;
        HashSet<uint> posted = [Read(first), Read(first), Read(first)];
        first.Kick();
        string json = ComponentTree.Save(first.Pci.Bus.Bridge).ToJson();
        before.Calls.Should().Be(calls, "a paused device begins nothing");

        ComponentTree.Restore(second.Pci.Bus.Bridge, ComponentState.FromJson(json));

        ComponentTree.Save(second.Pci.Bus.Bridge).ToJson().Should().Be(json);
        second.Function.DeviceStatus.Should().Be(first.Function.DeviceStatus);
        Move(first.Ram, second.Ram);
        second.Function.Resume();
        SpinWait.SpinUntil(() => after.Calls == 3, Patience).Should().BeTrue("what was posted is served without a notification");
        second.Function.TryPause(Patience).Should().BeTrue();
        Move(second.Ram, first.Ram);
        for (int i = 0; i < 3; i++)
        {
            first.Drivers[0].TryTakeUsed(out uint id, out uint length).Should().BeTrue();
            posted.Remove(id).Should().BeTrue();
            length.Should().Be(513);
        }

        first.Drivers[0].HasUsed.Should().BeFalse("nothing is doubled");
    }

    [Fact]
    [Trait("Behaviour", "CON-3")]
    public void A_device_with_a_request_that_does_not_end_is_not_paused_and_goes_on()
    {
        using var gate = new ManualResetEventSlim();
        var backend = new GatedBlockBackend(() => gate.Wait(Patience));
        using var rig = new VirtioFunctionRig(new BlockDevice(backend));
        rig.Start();
        Read(rig);
        rig.Kick();
        backend.Entered.Wait(Patience).Should().BeTrue();

        rig.Function.TryPause(TimeSpan.FromMilliseconds(50)).Should().BeFalse();
        Action save = () => ComponentTree.Save(rig.Pci.Bus.Bridge);
        save.Should().Throw<InvalidOperationException>();

        gate.Set();
        rig.WaitUsed();
        Read(rig);
        rig.Kick();
        rig.WaitUsed();
        rig.Function.TryPause(Patience).Should().BeTrue();
        save.Should().NotThrow();
    }

    [Fact]
    [Trait("Behaviour", "CON-3")]
    public void A_console_whose_reader_is_stuck_is_paused_when_its_patience_ends()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        int descriptor = (int)pipe.ClientSafePipeHandle.DangerousGetHandle();
        using var rig = new VirtioFunctionRig(new ConsoleDevice(new DescriptorConsoleBackend(-1, descriptor)));
        rig.Start();
        const int Length = 1 << 20;
        rig.Drivers[1].Add(Readable(rig.Ram.Allocate(Length), Length));
        rig.Kick(1);
        SpinWait.SpinUntil(() => !Vmm.DeviceModel.Interop.DescriptorIo.WaitWritable(descriptor, 0), Patience).Should().BeTrue();

        rig.Function.TryPause(Patience).Should().BeTrue();

        rig.Drivers[1].TryTakeUsed(out _, out _).Should().BeTrue("a request that was begun has ended");
    }

    [Fact]
    public void A_part_that_the_driver_takes_away_does_not_keep_a_device_from_being_paused()
    {
        var full = new FullConsole();
        using var rig = new VirtioFunctionRig(new ConsoleDevice(full));
        rig.Start();
        rig.Drivers[1].Add(Readable(rig.Ram.Allocate(64), 64));
        rig.Kick(1);
        SpinWait.SpinUntil(() => full.Calls != 0, Patience).Should().BeTrue();

        rig.Pci.SetBusMaster(false);

        rig.Function.TryPause(Patience).Should().BeTrue();
    }

    [Fact]
    public void A_paused_device_can_be_reset_and_set_up_anew()
    {
        using var rig = new VirtioFunctionRig(new BlockDevice(new GatedBlockBackend(static () => { })));
        rig.Start();
        rig.Function.TryPause(Patience).Should().BeTrue();

        rig.Start();
        Read(rig);
        rig.Kick();
        rig.Function.Resume();

        rig.WaitUsed().Length.Should().Be(513);
    }

    [Fact]
    public void Cards_and_consoles_keep_what_their_drivers_and_hosts_set()
    {
        using var first = new VirtioFunctionRig(new ConsoleDevice(new MemoryConsole(), new ConsoleDeviceOptions { Columns = 80, Rows = 25 }));
        using var second = new VirtioFunctionRig(new ConsoleDevice(new MemoryConsole(), new ConsoleDeviceOptions { Columns = 1, Rows = 1 }));
        first.Start();
        ((ConsoleDevice)first.Function.Device).Resize(132, 43);
        first.Function.TryPause(Patience).Should().BeTrue();
        ComponentState console = ComponentTree.Save(first.Pci.Bus.Bridge);

        ComponentTree.Restore(second.Pci.Bus.Bridge, console);

        second.Function.Device.ReadConfiguration(0, 4).Should().Be(132 | (43 << 16));
        second.Common.ConfigGeneration.Should().Be(1, "the driver has not seen the change yet");
        ComponentTree.Save(first.Pci.Bus.Bridge).ToJson().Should().Be(console.ToJson());
    }

    [Fact]
    public void Ten_thousand_mutations_are_refused_by_name_or_give_a_machine_that_works()
    {
        int seed = Environment.TickCount;
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        using var first = new VirtioFunctionRig(new BlockDevice(new GatedBlockBackend(static () => { })), new VirtioPciOptions { PackedRing = true });
        using var second = new VirtioFunctionRig(new BlockDevice(new GatedBlockBackend(static () => { })), new VirtioPciOptions { PackedRing = true });
        first.Start();
        Read(first);
        first.Kick();
        first.WaitUsed();
        first.Function.TryPause(Patience).Should().BeTrue();
        string json = ComponentTree.Save(first.Pci.Bus.Bridge).ToJson();
        string untouched = ComponentTree.Save(second.Pci.Bus.Bridge).ToJson();
        int refused = 0;
        int taken = 0;

        for (int i = 0; i < 10_000; i++)
        {
            string mutated = StateMutator.Mutate(json, random);
            try
            {
                ComponentTree.Restore(second.Pci.Bus.Bridge, ComponentState.FromJson(mutated));
            }
            catch (StateException e)
            {
                refused++;
                e.Message.Should().NotContain("\n", $"seed {seed}, mutation {i}");
                if (i % 16 == 0)
                {
                    ComponentTree.Save(second.Pci.Bus.Bridge).ToJson().Should().Be(untouched, $"seed {seed}, mutation {i}");
                }

                continue;
            }

            taken++;
            second.Function.Resume();
            second.Pci.Bus.Bridge.Reset();
            second.Function.DeviceStatus.Should().Be((DeviceStatus)0, $"seed {seed}, mutation {i}");
            second.Function.TryPause(Patience);
            second.Function.Resume();
            untouched = ComponentTree.Save(second.Pci.Bus.Bridge).ToJson();
        }

        output.WriteLine($"{refused} refused, {taken} taken");
        refused.Should().BeGreaterThan(1000);
        taken.Should().BeGreaterThan(100);
        second.Pci.Access.WriteConfiguration(4, 2, 6);
        second.Start();
        Read(second);
        second.Kick();
        second.WaitUsed().Length.Should().Be(513);
    }

    private static ushort Read(VirtioFunctionRig rig)
    {
        ulong header = rig.Ram.Place(BlockRequests.Header(BlockRequests.In, 0));
        return rig.Drivers[0].Add(Readable(header, 16), Writable(rig.Ram.Allocate(512), 512), Writable(rig.Ram.Allocate(1), 1));
    }

    private static void Move(GuestRam from, GuestRam to) => to.Write(0x1000, from.Read(0x1000, Moved));

    private sealed class MemoryConsole : IConsoleBackend
    {
        public int InputDescriptor => -1;

        public int OutputDescriptor => -1;

        public int Write(ReadOnlySpan<byte> output) => output.Length;

        public bool Read(Span<byte> input, out int received)
        {
            received = 0;
            return true;
        }

        public void Dispose()
        {
        }
    }

    /// <summary>Never has room, and says so at once.</summary>
    private sealed class FullConsole : IConsoleBackend
    {
        private int _calls;

        public int Calls => Volatile.Read(ref _calls);

        public int InputDescriptor => -1;

        public int OutputDescriptor => -1;

        public int Write(ReadOnlySpan<byte> output)
        {
            Interlocked.Increment(ref _calls);
            return 0;
        }

        public bool Read(Span<byte> input, out int received)
        {
            received = 0;
            return true;
        }

        public void Dispose()
        {
        }
    }
}
