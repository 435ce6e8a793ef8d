using Vmm.Conformance.Driving;
using Vmm.Pci.ConfigSpace;
using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Pci;

/// <summary>Masks, pending bits and messages of MSI-X, with a virtio device for a source of events (PCI 3.0, 6.8.2 and 6.8.3).</summary>
internal static class MsixDeliveryChecks
{
    private const Need Needs = Need.MessageTable | Need.Work;

    public static CheckGroup Group { get; } = new("MSI-X delivery", "PCI 3.0")
    {
        { "MSIX-DELIVER", "6.8.3", "An event on an unmasked vector sends its message, once", Deliver, Need.Msix | Need.Work },
        { "MSIX-ENTRY-MASK", "6.8.2.9", "A masked entry sends nothing and has its pending bit set", EntryMask, Needs },
        { "MSIX-ENTRY-UNMASK", "6.8.3", "Unmasking a pending entry sends the message once and clears the pending bit", EntryUnmask, Needs },
        { "MSIX-FUNCTION-MASK", "6.8.2.3", "Under the function mask nothing is sent and pending bits are set", FunctionMask, Needs },
        { "MSIX-FUNCTION-UNMASK", "6.8.3", "Clearing the function mask sends what is pending, once", FunctionUnmask, Needs },
        { "MSIX-MASKS-BOTH", "6.8.3", "A vector that both masks hold is sent when the last of them is cleared", BothMasks, Needs },
        { "MSIX-MASK-OTHERS", "6.8.3", "A masked entry holds up no other vector", MaskOthers, Needs | Need.TwoVectors },
        { "MSIX-UNMASK-QUIET", "6.8.3", "Unmasking an entry that is not pending sends nothing", UnmaskQuiet, Needs },
        { "MSIX-PENDING-ONCE", "6.8.3", "Several events on a masked vector are one message when it is unmasked", PendingOnce, Needs },
        { "MSIX-MASK-AGAIN", "6.8.3", "After the message is sent, masking and unmasking again sends nothing", MaskAgain, Needs },
        { "MSIX-DATA", "6.8.3", "A message has the data that its entry has after it was changed while masked", DataChanged, Needs | Need.TwoVectors },
        { "MSIX-DISABLED", "6.8.2.3", "While MSI-X is disabled no message is sent", Disabled, Need.MessageTable | Need.Work },
        { "MSIX-MASTER", "6.2.2", "While Bus Master is clear no message is sent", Master, Needs },
        { "MSIX-PIN", "6.8.2.3", "While MSI-X is enabled the pin is not asserted", PinSilent, Need.MessageTable | Need.Pin | Need.Work },
    };

    private static void Deliver(CheckContext check)
    {
        var scene = WorkScene.StartWithMessages(check);
        scene.Do();
        scene.AwaitOne(0, "for one used buffer");
    }

    private static void EntryMask(CheckContext check)
    {
        (WorkScene scene, MsixFixture hand) = Start(check);
        hand.SetMask(0, true);
        scene.Do();
        AwaitPending(check, hand, 0);
        scene.Silent("while the entry is masked");
    }

    private static void EntryUnmask(CheckContext check)
    {
        (WorkScene scene, MsixFixture hand) = Start(check);
        hand.SetMask(0, true);
        scene.Do();
        AwaitPending(check, hand, 0);
        hand.SetMask(0, false);
        scene.AwaitOne(0, "when the entry is unmasked");
        check.Require(!hand.IsPending(0), "pending bit 0 clear after delivery", "set");
    }

    private static void FunctionMask(CheckContext check)
    {
        (WorkScene scene, MsixFixture hand) = Start(check);
        hand.MessageControl = MsixFixture.Enable | MsixFixture.FunctionMask;
        scene.Do();
        AwaitPending(check, hand, 0);
        scene.Silent("under the function mask");
    }

    private static void FunctionUnmask(CheckContext check)
    {
        (WorkScene scene, MsixFixture hand) = Start(check);
        hand.MessageControl = MsixFixture.Enable | MsixFixture.FunctionMask;
        scene.Do();
        AwaitPending(check, hand, 0);
        hand.MessageControl = MsixFixture.Enable;
        scene.AwaitOne(0, "when the function mask is cleared");
        check.Require(!hand.IsPending(0), "pending bit 0 clear after delivery", "set");
    }

    private static void BothMasks(CheckContext check)
    {
        (WorkScene scene, MsixFixture hand) = Start(check);
        hand.SetMask(0, true);
        hand.MessageControl = MsixFixture.Enable | MsixFixture.FunctionMask;
        scene.Do();
        AwaitPending(check, hand, 0);
        hand.MessageControl = MsixFixture.Enable;
        scene.Silent("while the entry is still masked");
        hand.SetMask(0, false);
        scene.AwaitOne(0, "when the last mask is cleared");
    }

    private static void MaskOthers(CheckContext check)
    {
        (WorkScene scene, MsixFixture hand) = Start(check);
        hand.SetMask(1, true);
        scene.Do();
        scene.AwaitOne(0, "while another entry is masked");
    }

    private static void UnmaskQuiet(CheckContext check)
    {
        (WorkScene scene, MsixFixture hand) = Start(check);
        hand.SetMask(0, true);
        hand.SetMask(0, false);
        scene.Silent("without an event");
    }

    private static void PendingOnce(CheckContext check)
    {
        (WorkScene scene, MsixFixture hand) = Start(check);
        hand.SetMask(0, true);
        scene.Do();
        scene.Do();
        AwaitPending(check, hand, 0);
        hand.SetMask(0, false);
        scene.AwaitOne(0, "for two events while masked");
    }

    private static void MaskAgain(CheckContext check)
    {
        (WorkScene scene, MsixFixture hand) = Start(check);
        scene.Do();
        scene.AwaitOne(0, "for one used buffer");
        hand.SetMask(0, true);
        hand.SetMask(0, false);
        scene.AwaitOne(0, "for one used buffer, after the entry was masked and unmasked");
    }

    private static void DataChanged(CheckContext check)
    {
        (WorkScene scene, MsixFixture hand) = Start(check);
        hand.SetMask(0, true);
        hand.Write(0, MsixFixture.Data, hand.Read(1, MsixFixture.Data));
        hand.SetMask(0, false);
        scene.Do();
        scene.AwaitOne(1, "with the data of entry 1");
    }

    private static void Disabled(CheckContext check)
    {
        var scene = WorkScene.StartWithMessages(check);
        new MsixFixture(check).MessageControl = 0;
        scene.Do();
        scene.Silent("while MSI-X is disabled");
    }

    private static void Master(CheckContext check)
    {
        (WorkScene scene, MsixFixture hand) = Start(check);
        hand.SetMask(0, true);
        scene.Do();
        AwaitPending(check, hand, 0);
        scene.Driver.SetBusMaster(false);
        hand.SetMask(0, false);
        scene.Silent("while Bus Master is clear");
    }

    private static void PinSilent(CheckContext check)
    {
        var scene = WorkScene.StartWithMessagesAndPin(check);
        uint command = check.Access.ReadConfiguration(Reg.Command, 2);
        check.Access.WriteConfiguration(Reg.Command, 2, command & ~(uint)PciCommand.InterruptDisable);
        scene.Do();
        check.Await(() => scene.Messages[0] != 0, "the message of a used buffer", scene.Messages.ToString);
        check.Never(() => scene.Messages[-1] != 0, "no pin while MSI-X is enabled", () => "the pin asserted");
    }

    private static (WorkScene Scene, MsixFixture Hand) Start(CheckContext check) => (WorkScene.StartWithMessages(check), new MsixFixture(check));

    private static void AwaitPending(CheckContext check, MsixFixture hand, int entry) =>
        check.Await(() => hand.IsPending(entry), $"pending bit {entry} set", () => "clear");
}
