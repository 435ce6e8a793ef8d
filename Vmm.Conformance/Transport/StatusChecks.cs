using Vmm.Conformance.Driving;
using Vmm.Virtio.Spec;

namespace Vmm.Conformance.Transport;

/// <summary>The device status field and the reset (virtio 1.2, 2.1, 2.4 and 4.1.4.3).</summary>
internal static class StatusChecks
{
    public static CheckGroup Group { get; } = new("device status and reset", "virtio 1.2")
    {
        { "VTP-STATUS-INITIAL", "2.1", "device_status is 0 before a driver has touched the device", Initial, Need.Virtio | Need.PowerOn },
        { "VTP-STATUS-RESET", "4.1.4.3.1", "After 0 is written to device_status it reads 0 when the reset is done, from any state", Reset, Need.Virtio },
        { "VTP-STATUS-WORK", "3.1.1", "After DRIVER_OK the device uses the buffers that it is given", Works, Need.Work },
    };

    private static void Initial(CheckContext check) => check.Equal("device_status", 0, check.InitialStatus);

    private static void Reset(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Reset();
        driver.AddStatus(DeviceStatus.Acknowledge);
        driver.Reset();
        driver.Negotiate();
        driver.Reset();
        driver.Negotiate();
        driver.Start();
        driver.Reset();
    }

    private static void Works(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        RawQueue queue = driver.SetUpQueue(driver.WorkQueue);
        driver.Start();
        Work.Submit(check.DeviceType, queue);
        driver.Notify(queue);
        check.Await(() => queue.UsedIndex == 1, "the buffer used", () => $"used index {queue.UsedIndex}");
    }
}
