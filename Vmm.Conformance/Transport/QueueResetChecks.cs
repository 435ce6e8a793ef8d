using Vmm.Conformance.Driving;
using Vmm.Virtio.Spec;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Conformance.Transport;

/// <summary>The reset of one queue (virtio 1.2, 2.6.1 and 4.1.4.3.1).</summary>
internal static class QueueResetChecks
{
    private const ulong Feature = TransportFeatures.RingReset;

    public static CheckGroup Group { get; } = new("queue reset", "virtio 1.2")
    {
        { "VTP-QRESET-INITIAL", "4.1.4.3.1", "queue_reset is 0 before a queue is reset", Initial, Need.Virtio, Feature },
        { "VTP-QRESET-COMPLETES", "4.1.4.3.1", "After 1 is written to queue_reset it reads 0 once the reset is done", Completes, Need.Work, Feature },
        { "VTP-QRESET-DISABLES", "4.1.4.3.1", "After the reset queue_enable is 0", Disables, Need.Work, Feature },
        { "VTP-QRESET-STOPS", "2.6.1.1.1", "After the reset no buffer of the queue is used", Stops, Need.Work, Feature },
        { "VTP-QRESET-SILENT", "2.6.1.1.1", "After the reset the device sends no notification for the queue", Silent, Need.Work | Need.Msix, Feature },
        { "VTP-QRESET-ENABLE", "2.6.1.2.1", "The queue can be enabled again, with other memory, and begins anew", Enable, Need.Work, Feature },
        { "VTP-QRESET-SIZE", "2.6.1.2.1", "The queue can be enabled again with another size", Size, Need.Work, Feature },
        { "VTP-QRESET-CLEARS", "4.1.4.3.1", "queue_reset is 0 after the queue was enabled again", Clears, Need.Work, Feature },
        { "VTP-QRESET-AGAIN", "2.6.1", "A queue can be reset again and again", Again, Need.Work, Feature },
        { "VTP-QRESET-OTHERS", "2.6.1", "The other queues go on while one is reset", Others, Need.Work | Need.TwoQueues, Feature },
        { "VTP-QRESET-STATUS", "2.6.1", "The reset of a queue leaves device_status alone", Status, Need.Work, Feature },
    };

    private static void Initial(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate(Feature);
        for (int i = 0; i < driver.QueueCount; i++)
        {
            driver.Select(i);
            check.Equal($"queue_reset of queue {i}", 0, driver.Get(Offset.QueueReset, 2));
        }
    }

    private static void Completes(CheckContext check)
    {
        var scene = WorkScene.Start(check, Feature);
        scene.Do();
        Reset(check, scene);
    }

    private static void Disables(CheckContext check)
    {
        var scene = WorkScene.Start(check, Feature);
        Reset(check, scene);
        check.Equal("queue_enable", 0, scene.Driver.Get(Offset.QueueEnable, 2));
    }

    private static void Stops(CheckContext check)
    {
        var scene = WorkScene.Start(check, Feature);
        scene.Do();
        Reset(check, scene);
        scene.Ask();
        check.Never(() => scene.Queue.UsedIndex != 1, "used index 1 still", () => $"{scene.Queue.UsedIndex}");
    }

    private static void Silent(CheckContext check)
    {
        var driver = new RawDriver(check);
        var messages = new MessageLog();
        driver.Negotiate(Feature);
        check.Access.EnableMessages(1, messages.Add);
        RawQueue queue = driver.SetUpQueue(check.Work.Queue, vector: 0);
        driver.Start();
        Reset(check, driver, queue.Index);

        // What the device said for no reason at its start is here by then.
        _ = Deadline.WaitFor(static () => false, check.Limits.Quiet);
        int before = messages.Total;
        check.Work.Submit(queue);
        driver.Notify(queue);
        check.Never(() => messages.Total != before, "no interrupt after the reset of the queue", messages.ToString);
    }

    private static void Enable(CheckContext check)
    {
        var scene = WorkScene.Start(check, Feature);
        scene.Do();
        Reset(check, scene);
        Use(check, scene.Driver, scene.Driver.SetUpQueue(check.Work.Queue));
    }

    private static void Size(CheckContext check)
    {
        var scene = WorkScene.Start(check, Feature);
        scene.Do();
        Reset(check, scene);
        RawQueue queue = scene.Driver.SetUpQueue(check.Work.Queue, size: 16);
        check.Equal("queue_size", (ulong)queue.Size, scene.Driver.Get(Offset.QueueSize, 2));
        Use(check, scene.Driver, queue);
    }

    private static void Clears(CheckContext check)
    {
        var scene = WorkScene.Start(check, Feature);
        Reset(check, scene);
        scene.Driver.SetUpQueue(check.Work.Queue);
        check.Equal("queue_reset", 0, scene.Driver.Get(Offset.QueueReset, 2));
        check.Equal("queue_enable", 1, scene.Driver.Get(Offset.QueueEnable, 2));
    }

    private static void Again(CheckContext check)
    {
        var scene = WorkScene.Start(check, Feature);
        for (int i = 0; i < 5; i++)
        {
            Reset(check, scene);
            Use(check, scene.Driver, scene.Driver.SetUpQueue(check.Work.Queue));
        }
    }

    private static void Others(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate(Feature);
        int other = check.Work.Queue == 0 ? 1 : 0;
        RawQueue queue = driver.SetUpQueue(check.Work.Queue);
        driver.SetUpQueue(other);
        driver.Start();
        Use(check, driver, queue);
        Reset(check, driver, other);
        check.Work.Submit(queue);
        driver.Notify(queue);
        check.Await(() => queue.UsedIndex == 2, $"used index 2 of queue {queue.Index}", () => $"{queue.UsedIndex}");
    }

    private static void Status(CheckContext check)
    {
        var scene = WorkScene.Start(check, Feature);
        DeviceStatus before = scene.Driver.Status;
        Reset(check, scene);
        check.Equal("device_status", (ulong)before, (ulong)scene.Driver.Status);
    }

    private static void Reset(CheckContext check, WorkScene scene) => Reset(check, scene.Driver, scene.Queue.Index);

    private static void Reset(CheckContext check, RawDriver driver, int queue)
    {
        driver.Select(queue);
        driver.Set(Offset.QueueReset, 2, 1);
        check.Await(
            () => driver.Get(Offset.QueueReset, 2) == 0, "queue_reset = 0 once the reset is done", () => $"{driver.Get(Offset.QueueReset, 2)}");
    }

    private static void Use(CheckContext check, RawDriver driver, RawQueue queue)
    {
        check.Work.Submit(queue);
        driver.Notify(queue);
        check.Await(() => queue.UsedIndex == 1, $"used index 1 of queue {queue.Index}", () => $"{queue.UsedIndex}");
    }
}
