using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Pci.Bridges;

namespace Vmm.Tests.Machine;

/// <summary>Removals that were under way when a machine was saved go on in the machine that is restored.</summary>
[Trait("Behaviour", "CON-4")]
[Trait("Behaviour", "PCI-12")]
public sealed class MachineRemovalStateTests
{
    private static readonly TimeSpan _patience = FurnishedMachine.Patience;

    [Fact]
    public async Task A_device_that_the_guest_was_asked_for_is_disposed_when_the_guest_lets_go()
    {
        using FurnishedMachine machine = RestoredAfter(static first => first.Rig.Devices.HotRemoveAsync("plugged", SlotRemoval.Orderly));
        MachineGuest guest = machine.Rig.Guest();
        (guest.SlotStatus & 1).Should().Be(1, "the attention button was pressed");

        guest.Release();

        SpinWait.SpinUntil(() => machine.Rig.Devices.Devices.All(static device => device.Id != "plugged"), _patience).Should().BeTrue();
        machine.FirstPort.IsOccupied.Should().BeFalse();
        machine.Plug();
        await machine.Rig.Devices.HotRemoveAsync("plugged", SlotRemoval.Surprise).WaitAsync(_patience);
    }

    [Fact]
    public async Task Whoever_asks_again_waits_for_the_same_removal()
    {
        using FurnishedMachine machine = RestoredAfter(static first => first.Rig.Devices.HotRemoveAsync("plugged", SlotRemoval.Orderly));

        Task removal = machine.Rig.Devices.HotRemoveAsync("plugged", SlotRemoval.Orderly);
        machine.Rig.Devices.HotRemoveAsync("plugged", SlotRemoval.Orderly).Should().BeSameAs(removal);
        removal.IsCompleted.Should().BeFalse();
        machine.Rig.Guest().Release();

        await removal.WaitAsync(_patience);
        machine.Rig.Devices.Devices.Should().NotContain(static device => device.Id == "plugged");
    }

    [Fact]
    public async Task A_device_in_a_slot_that_the_guest_does_not_use_leaves_when_it_is_asked_for()
    {
        using FurnishedMachine machine = RestoredAfter(static first =>
        {
            first.Rig.Guest().Release();
            return Task.CompletedTask;
        });
        (machine.FirstPort.IsOccupied, machine.FirstPort.PowerIndicator).Should().Be((true, SlotIndicator.Off));

        await machine.Rig.Devices.HotRemoveAsync("plugged", SlotRemoval.Orderly).WaitAsync(_patience);

        machine.Rig.Devices.Devices.Should().NotContain(static device => device.Id == "plugged");
    }

    [Fact]
    public async Task A_guest_that_has_let_go_of_what_it_was_asked_for_is_not_waited_for()
    {
        string asked = Saved(static first => first.Rig.Devices.HotRemoveAsync("plugged", SlotRemoval.Orderly));
        string off = Saved(static first =>
        {
            first.Rig.Guest().Release();
            return Task.CompletedTask;
        });
        off.Should().Contain("\"removalAsked\": false");
        int port = off.IndexOf("\"removalAsked\"", StringComparison.Ordinal);
        string both = off[..port] + off[port..].Replace("\"removalAsked\": false", "\"removalAsked\": true", StringComparison.Ordinal);
        asked.Should().Contain("\"removalAsked\": true");
        int second = both.LastIndexOf("\"removalAsked\": true", StringComparison.Ordinal);
        both = both[..second] + "\"removalAsked\": false" + both[(second + "\"removalAsked\": true".Length)..];
        using var machine = new FurnishedMachine();
        machine.Pause();

        machine.Restore(both);

        SpinWait.SpinUntil(() => machine.Rig.Devices.Devices.All(static device => device.Id != "plugged"), _patience).Should().BeTrue();
        machine.FirstPort.IsOccupied.Should().BeFalse();
        machine.Plug();
        await machine.Rig.Devices.HotRemoveAsync("plugged", SlotRemoval.Surprise).WaitAsync(_patience);
    }

    [Fact]
    public async Task A_removal_of_before_the_restoration_is_cancelled_and_the_next_one_is_another()
    {
        string json = Saved(static _ => Task.CompletedTask);
        using var machine = new FurnishedMachine();
        machine.Rig.Guest().PowerOn();
        Task old = machine.Rig.Devices.HotRemoveAsync("plugged", SlotRemoval.Orderly);
        machine.Pause();

        machine.Restore(json);
        Task next = machine.Rig.Devices.HotRemoveAsync("plugged", SlotRemoval.Orderly);

        await ((Func<Task>)(() => old.WaitAsync(_patience))).Should().ThrowAsync<OperationCanceledException>();
        next.IsCompleted.Should().BeFalse();
        machine.Rig.Guest().Release();
        await next.WaitAsync(_patience);
    }

    private static string Saved(Func<FurnishedMachine, Task> step)
    {
        using var first = new FurnishedMachine();
        first.Rig.Guest().PowerOn();
        _ = step(first);
        first.Pause();
        return first.Save();
    }

    private static FurnishedMachine RestoredAfter(Func<FurnishedMachine, Task> step)
    {
        string json = Saved(step);
        var machine = new FurnishedMachine();
        machine.Pause();
        machine.Restore(json);
        machine.Save().Should().Be(json);
        machine.Resume();
        return machine;
    }
}
