using System.Linq;
using Vmm.Conformance.Driving;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Spec;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Conformance.Transport;

/// <summary>The window into BARs from configuration space (virtio 1.2, 4.1.4.9).</summary>
internal static class WindowChecks
{
    private const int Data = 16;

    public static CheckGroup Group { get; } = new("PCI configuration access window", "virtio 1.2")
    {
        { "VTP-WINDOW-FIELDS", "4.1.4.9", "bar, offset and length of the window read back as they are written", Fields, Need.Window },
        { "VTP-WINDOW-READ-ONLY", "4.1.4.9", "Id, pointer, length and type of the capability are read-only", HeaderReadOnly, Need.Window },
        { "VTP-WINDOW-READ", "4.1.4.9.1", "A read of the data is a read in the BAR", Read, Need.Window },
        { "VTP-WINDOW-READ-FRESH", "4.1.4.9.1", "Each read of the data is a read of its own", ReadFresh, Need.Window },
        { "VTP-WINDOW-WIDTHS", "4.1.4.9.1", "Reads of 1, 2 and 4 bytes give fields of those widths", Widths, Need.Window },
        { "VTP-WINDOW-WRITE", "4.1.4.9.1", "A write of the data is a write in the BAR", Write, Need.Window },
        { "VTP-WINDOW-WRITE-WIDTH", "4.1.4.9.1", "A write uses the first bytes of the data, as many as the length says", WriteWidth, Need.Window },
        { "VTP-WINDOW-ISR", "4.1.4.9.1", "The ISR byte is read, and so cleared, through the window", Isr, Need.Window | Need.Work },
        { "VTP-WINDOW-NOTIFY", "4.1.4.9.1", "A queue is notified through the window", Notify, Need.Window | Need.Work },
        { "VTP-WINDOW-QUIET", "4.1.4.9", "Setting the window up has no effect on what it will show", Quiet, Need.Window | Need.Work },
    };

    private static void Fields(CheckContext check)
    {
        StructureLocation common = check.Structures.Common;
        foreach (uint length in (uint[])[1, 2, 4])
        {
            Aim(check, common.Bar, common.Offset + 4, length);
            check.Equal("cap.bar", (uint)common.Bar, check.Access.ReadConfiguration(check.Facts.Window + 4, 1));
            check.Equal("cap.offset", common.Offset + 4, check.Access.ReadConfiguration(check.Facts.Window + 8, 4));
            check.Equal("cap.length", length, check.Access.ReadConfiguration(check.Facts.Window + 12, 4));
        }
    }

    private static void HeaderReadOnly(CheckContext check) => check.ReadOnly(check.Facts.Window, 4);

    private static void Read(CheckContext check)
    {
        var driver = new RawDriver(check);
        check.Equal("num_queues through the window", (ulong)driver.QueueCount, ReadAt(check, Offset.NumQueues, 2));
    }

    private static void ReadFresh(CheckContext check)
    {
        var driver = new RawDriver(check);
        foreach (uint value in (uint[])[1, 0, 1])
        {
            driver.Set(Offset.DriverFeatureSelect, 4, value);
            check.Equal("driver_feature_select through the window", value, ReadAt(check, Offset.DriverFeatureSelect, 4));
        }
    }

    private static void Widths(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        driver.Set(Offset.DeviceFeatureSelect, 4, 1);
        check.Equal("device_status through the window", (ulong)driver.Status, ReadAt(check, Offset.DeviceStatus, 1));
        check.Equal("num_queues through the window", driver.Get(Offset.NumQueues, 2), ReadAt(check, Offset.NumQueues, 2));
        check.Equal("device_feature through the window", driver.Get(Offset.DeviceFeature, 4), ReadAt(check, Offset.DeviceFeature, 4));
    }

    private static void Write(CheckContext check)
    {
        var driver = new RawDriver(check);
        foreach (uint value in (uint[])[1, 0])
        {
            WriteAt(check, check.Structures.Common, Offset.DriverFeatureSelect, 4, value);
            check.Equal("driver_feature_select", value, driver.Get(Offset.DriverFeatureSelect, 4));
        }
    }

    private static void WriteWidth(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Select(0);
        StructureLocation common = check.Structures.Common;
        Aim(check, common.Bar, common.Offset + Offset.DeviceStatus, 1);
        check.Access.WriteConfiguration(check.Facts.Window + Data, 4, 0xffff_ff00 | (uint)DeviceStatus.Acknowledge);
        check.Equal("device_status", (ulong)DeviceStatus.Acknowledge, (ulong)driver.Status);
        check.Equal("queue_select", 0, driver.Get(Offset.QueueSelect, 2));
    }

    private static void Isr(CheckContext check)
    {
        StructureLocation isr = check.Structures.Isr ?? throw new CheckSkippedException("there is no ISR structure");
        var scene = WorkScene.Start(check);
        scene.Do();
        Aim(check, isr.Bar, isr.Offset, 1);
        check.Await(
            () => (check.Access.ReadConfiguration(check.Facts.Window + Data, 1) & 1) != 0, "bit 0 of the ISR byte through the window", () => "0");
        check.Equal("ISR after it was read through the window", 0, (ulong)scene.Driver.ReadIsr());
    }

    private static void Notify(CheckContext check)
    {
        var scene = WorkScene.Start(check);
        check.Work.Submit(scene.Queue);
        WriteAt(check, check.Structures.Notification, (int)scene.Queue.NotifyOffset, 2, (uint)scene.Queue.Index);
        check.Await(() => scene.Queue.UsedIndex == 1, "used index 1 after a notification through the window", () => $"{scene.Queue.UsedIndex}");
    }

    private static void Quiet(CheckContext check)
    {
        StructureLocation isr = check.Structures.Isr ?? throw new CheckSkippedException("there is no ISR structure");
        var scene = WorkScene.Start(check);
        scene.Do();
        check.Await(() => PinHasReason(check), "Interrupt Status set", () => "clear");
        Aim(check, isr.Bar, isr.Offset, 1);
        _ = Enumerable.Range(0, 4).Sum(i => check.Access.ReadConfiguration(check.Facts.Window + (4 * i), 4));
        check.Equal("bit 0 of the ISR byte", 1, (ulong)scene.Driver.ReadIsr() & 1);
    }

    private static bool PinHasReason(CheckContext check) => (check.Access.ReadConfiguration(6, 2) & 8) != 0;

    private static uint ReadAt(CheckContext check, int offset, int width)
    {
        StructureLocation common = check.Structures.Common;
        Aim(check, common.Bar, common.Offset + (uint)offset, (uint)width);
        return check.Access.ReadConfiguration(check.Facts.Window + Data, width);
    }

    private static void WriteAt(CheckContext check, StructureLocation where, int offset, int width, uint value)
    {
        Aim(check, where.Bar, where.Offset + (uint)offset, (uint)width);
        check.Access.WriteConfiguration(check.Facts.Window + Data, width, value);
    }

    private static void Aim(CheckContext check, int bar, uint offset, uint length)
    {
        check.Access.WriteConfiguration(check.Facts.Window + 4, 1, (uint)bar);
        check.Access.WriteConfiguration(check.Facts.Window + 8, 4, offset);
        check.Access.WriteConfiguration(check.Facts.Window + 12, 4, length);
    }
}
