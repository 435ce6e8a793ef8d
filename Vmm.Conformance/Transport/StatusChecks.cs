using Vmm.Conformance.Driving;
using Vmm.Virtio.Spec;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Conformance.Transport;

/// <summary>The device status field and the order of initialisation (virtio 1.2, 2.1 and 3.1).</summary>
internal static class StatusChecks
{
    private const DeviceStatus Found = DeviceStatus.Acknowledge | DeviceStatus.Driver;

    public static CheckGroup Group { get; } = new("device status", "virtio 1.2")
    {
        { "VTP-STATUS-INITIAL", "2.1", "device_status is 0 before a driver has touched the device", Initial, Need.Virtio | Need.PowerOn },
        { "VTP-STATUS-STEPS", "3.1.1", "Each step of initialisation reads back in device_status", Steps, Need.Virtio },
        { "VTP-STATUS-KEEPS", "2.1", "Status bits stay until the reset", Keeps, Need.Virtio },
        { "VTP-STATUS-FAILED", "2.1", "FAILED reads back, and a reset takes it away", Failed, Need.Virtio },
        { "VTP-STATUS-EARLY", "2.1.2", "Before DRIVER_OK no buffer is used", Early, Need.Work },
        { "VTP-STATUS-EARLY-QUIET", "2.1.2", "Before DRIVER_OK the device sends no notification", EarlyQuiet, Need.Work | Need.Msix },
        { "VTP-STATUS-WORK", "3.1.1", "After DRIVER_OK the device uses the buffers that it is given", Works, Need.Work },
        { "VTP-STATUS-BEFORE", "3.1.1", "Buffers made available before DRIVER_OK are used after it, once the device is notified", Before, Need.Work },
        { "VTP-STATUS-MANY", "2.7", "The device goes on for more buffers than the queue has descriptors", Many, Need.Work },
        { "VTP-STATUS-NEEDS-RESET", "2.1.2", "A device whose ring is broken says DEVICE_NEEDS_RESET", NeedsReset, CheckSeverity.Recommendation, Need.Work },
        { "VTP-STATUS-NEEDS-RESET-TOLD", "2.1.2", "After DEVICE_NEEDS_RESET the device sends a configuration change notification", NeedsResetTold, Need.Work | Need.Msix },
    };

    private static void Initial(CheckContext check) => check.Equal("device_status", 0, check.InitialStatus);

    private static void Steps(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Reset();
        driver.AddStatus(DeviceStatus.Acknowledge);
        Equal(check, DeviceStatus.Acknowledge, driver);
        driver.AddStatus(DeviceStatus.Driver);
        Equal(check, Found, driver);
        driver.WriteDriverFeatures(driver.LeastFeatures);
        driver.AddStatus(DeviceStatus.FeaturesOk);
        Equal(check, Found | DeviceStatus.FeaturesOk, driver);
        driver.SetUpQueue(0);
        driver.SetBusMaster(true);
        driver.AddStatus(DeviceStatus.DriverOk);
        Equal(check, Found | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk, driver);
    }

    private static void Keeps(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        driver.SetUpQueue(0);
        driver.Start();
        DeviceStatus before = driver.Status;
        driver.Select(0);
        driver.ReadFeatures(0);
        check.Never(() => driver.Status != before, $"device_status = {before}", () => $"{driver.Status}");
    }

    private static void Failed(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        driver.AddStatus(DeviceStatus.Failed);
        check.Require((driver.Status & DeviceStatus.Failed) != 0, "FAILED set", $"{driver.Status}");
        driver.Reset();
    }

    private static void Early(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        RawQueue queue = driver.SetUpQueue(check.Work.Queue);
        driver.SetBusMaster(true);
        check.Work.Submit(queue);
        check.Never(() => queue.UsedIndex != 0, "no buffer used before DRIVER_OK", () => $"used index {queue.UsedIndex}");
    }

    private static void EarlyQuiet(CheckContext check)
    {
        var driver = new RawDriver(check);
        var messages = new MessageLog();
        driver.Negotiate();
        check.Access.EnableMessages(1, messages.Add);
        driver.SetVector(Offset.ConfigMsixVector, 0);
        RawQueue queue = driver.SetUpQueue(check.Work.Queue, vector: 0);
        driver.SetBusMaster(true);
        check.Work.Submit(queue);
        check.Never(() => messages.Total != 0, "no interrupt before DRIVER_OK", messages.ToString);
    }

    private static void Works(CheckContext check) => WorkScene.Start(check).Do();

    private static void Before(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        RawQueue queue = driver.SetUpQueue(check.Work.Queue);
        check.Work.Submit(queue);
        driver.Start();
        driver.Notify(queue);
        check.Await(() => queue.UsedIndex == 1, "used index 1", () => $"{queue.UsedIndex}");
    }

    private static void Many(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        for (int i = 0; i < 3 * scene.Queue.Size; i++)
        {
            scene.Do();
        }
    }

    private static void NeedsReset(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        check.Require(scene.TryBreak(), "DEVICE_NEEDS_RESET set", $"device_status = {scene.Driver.Status}");
    }

    private static void NeedsResetTold(CheckContext check)
    {
        var scene = WorkScene.StartWithMessages(check, VirtioPciIds.NoVector, 0);
        scene.Break();
        check.Await(() => scene.Messages[0] != 0, "a configuration change notification", scene.Messages.ToString);
    }

    private static void Equal(CheckContext check, DeviceStatus expected, RawDriver driver)
    {
        DeviceStatus seen = driver.Status;
        check.Require(seen == expected, $"device_status = {expected}", $"{seen}");
    }
}
