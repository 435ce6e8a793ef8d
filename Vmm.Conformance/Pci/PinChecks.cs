using Vmm.Conformance.Driving;
using Vmm.Pci.ConfigSpace;
using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Pci;

/// <summary>The INTx pin and bus mastering, with a virtio device for a source of events (PCI 3.0, 6.2.2 and 6.2.3).</summary>
internal static class PinChecks
{
    private const Need Needs = Need.Pin | Need.Work;

    public static CheckGroup Group { get; } = new("INTx and bus mastering", "PCI 3.0")
    {
        { "PCI-PIN-ASSERT", "2.2.6", "Without messages an event asserts the pin", Assert, Needs },
        { "PCI-PIN-STATUS", "6.2.3", "Interrupt Status is set while the pin has a reason and clear otherwise", Status, Needs },
        { "PCI-PIN-STATUS-READ-ONLY", "6.2.3", "Interrupt Status does not go away by a write", StatusReadOnly, Needs },
        { "PCI-PIN-DISABLE", "6.2.2", "Under Interrupt Disable the pin is not asserted", Disable, Needs },
        { "PCI-PIN-DISABLED-STATUS", "6.2.3", "Interrupt Disable has no effect on Interrupt Status", DisabledStatus, Needs },
        { "PCI-PIN-ENABLE", "6.2.2", "Clearing Interrupt Disable asserts the pin if it has a reason", Enable, Needs },
        { "PCI-PIN-AGAIN", "2.2.6", "After the reason was taken away, the next event asserts the pin again", Again, Needs },
        { "PCI-MASTER-DMA", "6.2.2", "While Bus Master is clear the function reaches no memory", Dma, Need.Work },
        { "PCI-MASTER-RESUME", "6.2.2", "Once Bus Master is set again the function works again", Resume, CheckSeverity.Recommendation, Need.Work },
    };

    private static void Assert(CheckContext check)
    {
        var scene = WorkScene.StartWithPin(check);
        scene.Do();
        AwaitPin(check, scene, 1, "the pin asserted for a used buffer");
    }

    private static void Status(CheckContext check)
    {
        var scene = WorkScene.StartWithPin(check);
        check.Require(!HasStatus(check), "Interrupt Status clear before the event", "set");
        scene.Do();
        AwaitStatus(check);
        scene.Driver.ReadIsr();
        check.Require(!HasStatus(check), "Interrupt Status clear after the reason was taken away", "set");
    }

    private static void StatusReadOnly(CheckContext check)
    {
        var scene = WorkScene.StartWithPin(check);
        scene.Do();
        AwaitStatus(check);
        check.Access.WriteConfiguration(Reg.Status, 2, (uint)PciStatus.InterruptStatus);
        check.Require(HasStatus(check), "Interrupt Status still set after ones were written", "clear");
    }

    private static void Disable(CheckContext check)
    {
        var scene = WorkScene.StartWithPin(check);
        SetDisabled(check, true);
        scene.Do();
        scene.Silent("under Interrupt Disable");
    }

    private static void DisabledStatus(CheckContext check)
    {
        var scene = WorkScene.StartWithPin(check);
        SetDisabled(check, true);
        scene.Do();
        AwaitStatus(check);
    }

    private static void Enable(CheckContext check)
    {
        var scene = WorkScene.StartWithPin(check);
        SetDisabled(check, true);
        scene.Do();
        AwaitStatus(check);
        SetDisabled(check, false);
        AwaitPin(check, scene, 1, "the pin asserted when Interrupt Disable is cleared");
    }

    private static void Again(CheckContext check)
    {
        var scene = WorkScene.StartWithPin(check);
        scene.Do();
        AwaitPin(check, scene, 1, "the pin asserted for a used buffer");
        scene.Driver.ReadIsr();
        check.Access.PinServed();
        scene.Do();
        AwaitPin(check, scene, 2, "the pin asserted again for the next used buffer");
    }

    private static void Dma(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.Driver.SetBusMaster(false);
        scene.Ask();
        check.Never(() => scene.Queue.UsedIndex != 0, "no buffer used while Bus Master is clear", () => $"used index {scene.Queue.UsedIndex}");
    }

    private static void Resume(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.Driver.SetBusMaster(false);
        scene.Driver.SetBusMaster(true);
        scene.Do();
    }

    private static bool HasStatus(CheckContext check) => (check.Access.ReadConfiguration(Reg.Status, 2) & (uint)PciStatus.InterruptStatus) != 0;

    private static void AwaitStatus(CheckContext check) => check.Await(() => HasStatus(check), "Interrupt Status set", () => "clear");

    private static void AwaitPin(CheckContext check, WorkScene scene, int times, string expected) =>
        check.Await(() => scene.Messages[-1] >= times, expected, () => $"asserted {scene.Messages[-1]} times");

    private static void SetDisabled(CheckContext check, bool disabled)
    {
        uint command = check.Access.ReadConfiguration(Reg.Command, 2) & ~(uint)PciCommand.InterruptDisable;
        check.Access.WriteConfiguration(Reg.Command, 2, command | (disabled ? (uint)PciCommand.InterruptDisable : 0));
    }
}
