using Vmm.Conformance.Driving;
using Vmm.Pci.ConfigSpace;
using Vmm.Virtio.Spec;
using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Transport;

/// <summary>Notifications both ways: the queue's addresses, the ISR byte (virtio 1.2, 2.9, 4.1.4.5 and 4.1.5.2).</summary>
internal static class InterruptChecks
{
    public static CheckGroup Group { get; } = new("notifications and ISR", "virtio 1.2")
    {
        { "VTP-NOTIFY-WRITE", "4.1.5.2", "A write of 16 bits to the queue's address makes the device look at the queue", Notification, Need.Work },
        { "VTP-NOTIFY-AGAIN", "2.9", "A notification without new buffers does no harm", Again, Need.Work },
        { "VTP-NOTIFY-SEVERAL", "2.9", "One notification serves for several buffers", Several, Need.Work },
        { "VTP-NOTIFY-DATA", "4.1.5.2", "With NOTIFICATION_DATA a write of 32 bits makes the device look at the queue", Data, Need.Work, TransportFeatures.NotificationData },
        { "VTP-ISR-INITIAL", "4.1.4.5", "The ISR byte of a device that is reset is 0", Initial, Need.Virtio },
        { "VTP-ISR-QUEUE", "4.1.4.5.1", "Without MSI-X bit 0 of the ISR byte is set for a used buffer", Queue, Need.Work },
        { "VTP-ISR-CONFIG", "4.1.4.5.1", "Bit 1 of the ISR byte is set for a configuration change", Configuration, Need.Work },
        { "VTP-ISR-CLEAR", "4.1.4.5.1", "Reading the ISR byte resets it to 0", Clear, Need.Work },
        { "VTP-ISR-RESERVED", "4.1.4.5", "Other bits of the ISR byte are 0", Reserved, Need.Work },
        { "VTP-ISR-STATUS", "4.1.4.5.1", "Without MSI-X Interrupt Status is the OR of the bits of the ISR byte", Status, Need.Work },
        { "VTP-ISR-AGAIN", "4.1.4.5.1", "After it was read the ISR byte is set again for the next used buffer", SetAgain, Need.Work },
    };

    private static void Notification(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.Do();
        scene.Do();
    }

    private static void Again(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.Driver.Notify(scene.Queue);
        scene.Do();
        scene.Driver.Notify(scene.Queue);
        scene.Driver.Notify(scene.Queue);
        check.Never(() => scene.Queue.UsedIndex != 1, "used index 1 still", () => $"{scene.Queue.UsedIndex}");
        check.Require((scene.Driver.Status & DeviceStatus.NeedsReset) == 0, "DEVICE_NEEDS_RESET clear", $"{scene.Driver.Status}");
        scene.Do();
    }

    private static void Several(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.RequireTwo();
        check.Work.Submit(scene.Queue);
        check.Work.Submit(scene.Queue);
        scene.Driver.Notify(scene.Queue);
        check.Await(() => scene.Queue.UsedIndex == 2, "used index 2", () => $"{scene.Queue.UsedIndex}");
    }

    private static void Data(CheckContext check)
    {
        var scene = WorkScene.Start(check, TransportFeatures.NotificationData);
        scene.Do();
        scene.Do();
    }

    private static void Initial(CheckContext check) => check.Equal("ISR", 0, (ulong)new RawDriver(check).ReadIsr());

    private static void Queue(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.Do();
        check.Await(() => (scene.Driver.ReadIsr() & IsrStatus.Queue) != 0, "bit 0 of the ISR byte set", () => "clear");
    }

    private static void Configuration(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.Break();
        check.Await(() => (scene.Driver.ReadIsr() & IsrStatus.Configuration) != 0, "bit 1 of the ISR byte set", () => "clear");
    }

    private static void Clear(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.Do();
        check.Await(() => scene.Driver.ReadIsr() != IsrStatus.None, "the ISR byte set", () => "0");
        check.Equal("ISR when it is read again", 0, (ulong)scene.Driver.ReadIsr());
    }

    private static void Reserved(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.Do();
        IsrStatus seen = IsrStatus.None;
        check.Await(() => (seen = scene.Driver.ReadIsr()) != IsrStatus.None, "the ISR byte set", () => "0");
        check.Equal("bits 2 to 7 of the ISR byte", 0, (ulong)(seen & ~(IsrStatus.Queue | IsrStatus.Configuration)));
    }

    private static void Status(CheckContext check)
    {
        var scene = WorkScene.Start(check);

        // What the device said for no reason at its start (2.7.7.1) is taken away first.
        _ = Deadline.WaitFor(() => HasStatus(check), check.Limits.Quiet);
        scene.Driver.ReadIsr();
        check.Require(!HasStatus(check), "Interrupt Status clear before the event", "set");
        scene.Do();
        check.Await(() => HasStatus(check), "Interrupt Status set for a used buffer", () => "clear");
        scene.Driver.ReadIsr();
        check.Require(!HasStatus(check), "Interrupt Status clear after the ISR byte was read", "set");
    }

    private static void SetAgain(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        for (int i = 0; i < 3; i++)
        {
            scene.Do();
            check.Await(() => (scene.Driver.ReadIsr() & IsrStatus.Queue) != 0, "bit 0 of the ISR byte set", () => "clear");
        }
    }

    private static bool HasStatus(CheckContext check) => (check.Access.ReadConfiguration(Reg.Status, 2) & (uint)PciStatus.InterruptStatus) != 0;
}
