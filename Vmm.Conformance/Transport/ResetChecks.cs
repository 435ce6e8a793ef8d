using Vmm.Conformance.Driving;
using Vmm.Virtio.Spec;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Conformance.Transport;

/// <summary>The reset of the device (virtio 1.2, 2.4 and 4.1.4.3.1).</summary>
internal static class ResetChecks
{
    public static CheckGroup Group { get; } = new("device reset", "virtio 1.2")
    {
        { "VTP-RESET-STATUS", "2.4.1", "After 0 is written to device_status it reads 0 once the reset is done, from any state", FromAnyState, Need.Virtio },
        { "VTP-RESET-RUNNING", "2.4.1", "A running device can be reset", Running, Need.Work },
        { "VTP-RESET-BROKEN", "2.1", "A device that says DEVICE_NEEDS_RESET works again after a reset", Broken, Need.Work },
        { "VTP-RESET-IN-FLIGHT", "2.4.1", "A reset ends with buffers in flight, and none of them is used after it", InFlight, Need.Work },
        { "VTP-RESET-QUIET", "2.4.1", "After the reset the device touches no queue", Quiet, Need.Work },
        { "VTP-RESET-SILENT", "2.4.1", "After the reset the device sends no notification", Silent, Need.Work | Need.Msix },
        { "VTP-RESET-RESTART", "2.4.1", "After a reset the device can be initialised again and works", Restart, Need.Work },
        { "VTP-RESET-QUEUE-ENABLE", "4.1.4.3.1", "After the reset queue_enable is 0 for every queue", QueueEnable, Need.Virtio },
        { "VTP-RESET-QUEUE-SIZE", "4.1.4.3", "After the reset queue_size is the maximum again", QueueSize, Need.Virtio },
        { "VTP-RESET-VECTORS", "4.1.5.1.2.1", "After the reset no event is mapped to a vector", Vectors, Need.Virtio | Need.Msix },
        { "VTP-RESET-ADDRESSES", "2.4", "After the reset the addresses of queues are forgotten", Addresses, CheckSeverity.Recommendation, Need.Virtio },
        { "VTP-RESET-FEATURES", "2.4", "After the reset accepted features are forgotten", Features, CheckSeverity.Recommendation, Need.Virtio },
        { "VTP-RESET-ISR", "2.4.1", "After the reset the ISR byte is clear", Isr, CheckSeverity.Recommendation, Need.Work },
        { "VTP-RESET-QUEUE-COUNT", "4.1.4.3", "A reset changes neither the number of queues nor their notify offsets", QueueCount, Need.Virtio },
    };

    private static void FromAnyState(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Reset();
        driver.Reset();
        driver.AddStatus(DeviceStatus.Acknowledge);
        driver.Reset();
        driver.Recognise();
        driver.Reset();
        driver.Negotiate();
        driver.Reset();
        driver.Negotiate();
        driver.AddStatus(DeviceStatus.Failed);
        driver.Reset();
    }

    private static void Running(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.Do();
        scene.Driver.Reset();
    }

    private static void Broken(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.Break();
        scene.Driver.Reset();
        WorkScene.Start(check).Do();
    }

    private static void InFlight(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.RequireTwo();
        scene.Ask();
        scene.Ask();
        scene.Driver.Reset();
        ushort used = scene.Queue.UsedIndex;
        check.Never(() => scene.Queue.UsedIndex != used, $"used index {used} still", () => $"{scene.Queue.UsedIndex}");
    }

    private static void Quiet(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.Do();
        scene.Driver.Reset();
        scene.Ask();
        check.Never(() => scene.Queue.UsedIndex != 1, "used index 1 still", () => $"{scene.Queue.UsedIndex}");
    }

    private static void Silent(CheckContext check)
    {
        var scene = WorkScene.StartWithMessages(check, 0, 0);
        scene.Driver.Reset();
        int before = scene.Messages.Total;
        scene.Ask();
        check.Never(() => scene.Messages.Total != before, "no interrupt after the reset", scene.Messages.ToString);
    }

    private static void Restart(CheckContext check)
    {
        for (int i = 0; i < 3; i++)
        {
            WorkScene.Start(check).Do();
        }
    }

    private static void QueueEnable(CheckContext check)
    {
        RawDriver driver = Used(check);
        driver.Reset();
        ForEachQueue(driver, index => check.Equal($"queue_enable of queue {index}", 0, driver.Get(Offset.QueueEnable, 2)));
    }

    private static void QueueSize(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Select(0);
        ulong most = driver.Get(Offset.QueueSize, 2);
        driver = Used(check);
        driver.Reset();
        driver.Select(0);
        check.Equal("queue_size", most, driver.Get(Offset.QueueSize, 2));
    }

    private static void Vectors(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        check.Access.EnableMessages(1, static _ => { });
        driver.SetVector(Offset.ConfigMsixVector, 0);
        ForEachQueue(driver, _ => driver.SetVector(Offset.QueueMsixVector, 0));
        driver.Reset();
        check.Equal("config_msix_vector", VirtioPciIds.NoVector, driver.Get(Offset.ConfigMsixVector, 2));
        ForEachQueue(
            driver, index => check.Equal($"queue_msix_vector of queue {index}", VirtioPciIds.NoVector, driver.Get(Offset.QueueMsixVector, 2)));
    }

    private static void Addresses(CheckContext check)
    {
        RawDriver driver = Used(check);
        driver.Reset();
        driver.Select(0);
        check.Equal("queue_desc", 0, driver.Get(Offset.QueueDescriptors, 4) | driver.Get(Offset.QueueDescriptors + 4, 4));
        check.Equal("queue_driver", 0, driver.Get(Offset.QueueDriver, 4) | driver.Get(Offset.QueueDriver + 4, 4));
        check.Equal("queue_device", 0, driver.Get(Offset.QueueDevice, 4) | driver.Get(Offset.QueueDevice + 4, 4));
    }

    private static void Features(CheckContext check)
    {
        RawDriver driver = Used(check);
        driver.Reset();
        check.Equal("driver_feature", 0, driver.ReadDriverFeatures(0) | driver.ReadDriverFeatures(1));
    }

    private static void Isr(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        scene.Do();
        scene.Driver.Reset();
        check.Equal("ISR", 0, (ulong)scene.Driver.ReadIsr());
    }

    private static void QueueCount(CheckContext check)
    {
        var driver = new RawDriver(check);
        int count = driver.QueueCount;
        driver.Select(count - 1);
        ulong notify = driver.Get(Offset.QueueNotifyOff, 2);
        driver = Used(check);
        driver.Reset();
        check.Equal("num_queues", (ulong)count, (ulong)driver.QueueCount);
        driver.Select(count - 1);
        check.Equal($"queue_notify_off of queue {count - 1}", notify, driver.Get(Offset.QueueNotifyOff, 2));
    }

    /// <summary>A device with its first queue set up, smaller than it could be.</summary>
    private static RawDriver Used(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        driver.SetUpQueue(0, size: 4);
        driver.Start();
        return driver;
    }

    private static void ForEachQueue(RawDriver driver, System.Action<int> look)
    {
        for (int i = 0; i < driver.QueueCount; i++)
        {
            driver.Select(i);
            if (driver.Get(Offset.QueueSize, 2) != 0)
            {
                look(i);
            }
        }
    }
}
