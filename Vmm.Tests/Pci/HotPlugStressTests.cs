using System;
using System.Collections.Concurrent;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Pci;
using Vmm.Pci.Bridges;
using Vmm.Pci.ConfigSpace;

namespace Vmm.Tests.Pci;

/// <summary>A slot that is filled and emptied while a hostile guest writes its registers from two vCPUs at full speed.</summary>
[Trait("Behaviour", "PCI-12")]
[Trait("Behaviour", "LIFE-5")]
[Trait("Category", "Long")]
public sealed class HotPlugStressTests
{
    private const int Rounds = 400;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_guest_that_writes_everything_and_a_host_that_adds_and_removes_end_in_a_state_that_agrees_with_itself(bool powerController)
    {
        var rig = new SlotRig(new PciRootPortOptions { PowerController = powerController });
        var functions = new ConcurrentBag<PciFunction>();
        bool stop = false;
        Task[] guests = [.. Enumerable.Range(0, 2).Select(seed => Task.Factory.StartNew(
            () => WriteAtRandom(rig, new Random(seed), () => Volatile.Read(ref stop)), TaskCreationOptions.LongRunning))];
        Task host = Task.Factory.StartNew(() => AddAndRemove(rig.Port, functions, new Random(7)), TaskCreationOptions.LongRunning);
        await host.WaitAsync(Patience);
        Volatile.Write(ref stop, true);
        await Task.WhenAll(guests).WaitAsync(Patience);

        ShouldAgree(rig);
        if (rig.Port.IsOccupied)
        {
            await rig.Port.HotRemove(SlotRemoval.Surprise);
        }

        ShouldAgree(rig);
        functions.Should().OnlyContain(
            static function =>
                function.Bus == null && function.Command == PciCommand.None && function.GetMappedAddress(0) == null && function.Faults == 0);
        rig.Port.Faults.Should().Be(0);
        rig.Bridges.Rig.Memory.Domain.FailedEffects.Should().Be(0);
        foreach (PciFunction function in functions)
        {
            function.Dispose();
        }

        rig.Messages.Should().BePositive("the guest was told of what happened meanwhile");

        // The slot still works.
        rig.Bridges.Write(rig.Port, 0x3e, 2, 0);
        rig.Bridges.Write(rig.Port, rig.Port.Msi!.Offset + 2, 2, 1);
        rig.Bridges.Write(rig.Port, rig.Port.Msi.Offset + 16, 4, 0);
        rig.Bridges.Write(rig.Port, 0x18, 4, 0x0001_0100);
        rig.Bridges.Write(rig.Port, 4, 2, 7);
        rig.Link = 0;
        rig.Control = SlotRig.PowerOff | SlotRig.IndicatorOff | SlotRig.AllEvents;
        rig.Bridges.Host.Root.AssignResources();
        rig.Acknowledge(0xffff);
        rig.Run().GetMappedAddress(0).Should().NotBeNull();
        rig.Port.HotRemove(SlotRemoval.Surprise).IsCompletedSuccessfully.Should().BeTrue();
        rig.Messages.Should().Be(1);
    }

    [Fact]
    public async Task Of_two_that_add_at_once_one_succeeds_and_the_other_changes_nothing()
    {
        var rig = new SlotRig();
        for (int round = 0; round < 200; round++)
        {
            PciFunction[] both = new[] { SlotRig.Function(), SlotRig.Function() };
            using var barrier = new Barrier(2);
            bool[] added = await Task.WhenAll(both.Select(function => Task.Run(() =>
            {
                barrier.SignalAndWait();
                try
                {
                    rig.Port.HotAdd(function);
                    return true;
                }
                catch (InvalidOperationException)
                {
                    return false;
                }
            }))).WaitAsync(Patience);
            added.Should().BeEquivalentTo([true, false]);
            rig.Port.Secondary.Functions.Should().Equal(both.Where((_, i) => added[i]));
            rig.Status.Should().Be(SlotRig.Present | SlotRig.PresenceChanged | SlotRig.ButtonPressed);
            await rig.Port.HotRemove(SlotRemoval.Surprise).WaitAsync(Patience);
            rig.Acknowledge(0xffff);
        }
    }

    [Fact]
    public async Task A_request_that_crosses_the_guests_release_is_complete_and_never_takes_the_next_device()
    {
        // Either the release is seen by the request, or the request by the release; and a release that was for the last device leaves the next one
        // alone.
        var rig = new SlotRig();
        for (int round = 0; round < 500; round++)
        {
            rig.Run();
            using var barrier = new Barrier(2);
            var guest = Task.Run(() =>
            {
                barrier.SignalAndWait();
                rig.Control |= SlotRig.PowerOff;
            });
            barrier.SignalAndWait();
            await rig.Port.HotRemove(SlotRemoval.Orderly).WaitAsync(Patience);
            PciFunction next = SlotRig.Function();
            rig.Port.HotAdd(next);
            await guest.WaitAsync(Patience);
            next.Bus.Should().BeSameAs(rig.Port.Secondary, "nobody asked for its removal");
            rig.Port.HotRemove(SlotRemoval.Surprise).IsCompleted.Should().BeTrue();
            rig.Acknowledge(0xffff);
        }
    }

    private static void WriteAtRandom(SlotRig rig, Random random, Func<bool> stop)
    {
        var behind = new PciAddress(1, 0, 0);
        (int Offset, int Width)[] registers =
        [
            (rig.Express + 0x18, 2), (rig.Express + 0x18, 2), (rig.Express + 0x18, 4), (rig.Express + 0x19, 1), (rig.Express + 0x1a, 2),
            (rig.Express + 0x10, 2), (0x3e, 2), (4, 2), (0x18, 4), (0x1c, 2), (0x20, 4), (0x24, 4), (0x28, 4), (rig.Port.Msi!.Offset + 2, 2),
            (rig.Port.Msi.Offset + 16, 4),
        ];
        while (!stop())
        {
            (int offset, int width) = registers[random.Next(registers.Length)];

            // Values that a driver writes among those that nobody does.
            uint value = random.Next(4) switch
            {
                0 => (uint)random.NextInt64(1L << 32),
                1 => offset == 0x18 ? 0x0001_0100u : offset == 4 ? 7u : 0u,
                2 => 0x1fd | SlotRig.AllEvents,
                _ => 0x7fd | SlotRig.AllEvents,
            };
            ulong port = PciRig.Ecam + ((ulong)rig.Port.Address.RequesterId << 12);
            rig.Bridges.Rig.Memory.Write(port + (uint)offset, width, value);
            _ = rig.Bridges.Rig.Memory.Read(port + (uint)rig.Express + 0x18, 4);
            ulong function = PciRig.Ecam + ((ulong)behind.RequesterId << 12);
            rig.Bridges.Rig.Memory.Write(function + 0x10, 4, (uint)rig.Port.MemoryWindow.Base);
            rig.Bridges.Rig.Memory.Write(function + 4, 2, 6);
            _ = rig.Bridges.Rig.Memory.Read(rig.Port.MemoryWindow.Base, 4);
        }
    }

    private static void AddAndRemove(PciRootPort port, ConcurrentBag<PciFunction> functions, Random random)
    {
        Task open = Task.CompletedTask;
        for (int round = 0; round < Rounds; round++)
        {
            PciFunction function = SlotRig.Function();
            functions.Add(function);
            port.HotAdd(function);
            port.Secondary.Find(0).Should().BeSameAs(function);
            open = port.HotRemove(random.Next(2) == 0 ? SlotRemoval.Orderly : SlotRemoval.Surprise);
            if (!open.IsCompleted && !open.Wait(random.Next(20)) && port.IsOccupied)
            {
                // The guest may have let go in this moment.
                try
                {
                    port.HotRemove(SlotRemoval.Surprise).IsCompleted.Should().BeTrue();
                }
                catch (InvalidOperationException)
                {
                    port.Secondary.Find(0).Should().BeNull();
                }
            }

            open.Wait(Patience).Should().BeTrue("a removal ends with the device");
            function.Bus.Should().BeNull();
        }
    }

    /// <summary>What the registers say, what is on the bus and what the pin does are one story.</summary>
    private static void ShouldAgree(SlotRig rig)
    {
        PciConfigurationSpace space = rig.Port.ConfigurationSpace;
        uint slot = space.ReadRegister(rig.Express + 0x18);
        bool occupied = rig.Port.Secondary.Functions.Any();
        ((slot & (SlotRig.Present << 16)) != 0).Should().Be(occupied);
        bool disabled = (space.Read(rig.Express + 0x10, 2) & 0x10) != 0;
        bool reset = (space.Read(0x3e, 2) & 0x40) != 0;
        bool link = occupied && (slot & SlotRig.PowerOff) == 0 && !disabled && !reset;
        rig.Port.IsLinkActive.Should().Be(link);
        ((space.Read(rig.Express + 0x12, 2) & 0x2000) != 0).Should().Be(link);
        bool waits = (slot & 0x20) != 0 && ((((slot >> 16) & slot & 0x1f) != 0) || ((slot & 0x0100_1000) == 0x0100_1000));
        rig.Port.Intx.IsAsserted.Should().Be(waits);
        rig.Bridges.Rig.Lines[18].IsAsserted.Should().Be(waits && !rig.Port.UsesMessages && (rig.Port.Command & PciCommand.InterruptDisable) == 0);
    }
}
