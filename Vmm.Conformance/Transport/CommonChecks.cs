using System.Numerics;
using Vmm.Conformance.Driving;
using Vmm.DeviceModel.Bus;
using static Vmm.Conformance.CheckContext;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Conformance.Transport;

/// <summary>The fields of the common configuration (virtio 1.2, 4.1.4.3).</summary>
internal static class CommonChecks
{
    private const ulong Low = 0x1234_5000;
    private const ulong High = 0x0000_0009;
    private const ulong AdministrationQueues = 1UL << 41;

    public static CheckGroup Group { get; } = new("common configuration", "virtio 1.2")
    {
        { "VTP-COMMON-DEVICE-SELECT", "4.1.4.3", "device_feature_select reads back as it is written", DeviceSelect, Need.Virtio },
        { "VTP-COMMON-DRIVER-SELECT", "4.1.4.3", "driver_feature_select reads back as it is written", DriverSelect, Need.Virtio },
        { "VTP-COMMON-SELECTS-APART", "4.1.4.3", "The selectors of offered and of accepted features are apart", SelectsApart, Need.Virtio },
        { "VTP-COMMON-QUEUE-SELECT", "4.1.4.3", "queue_select reads back as it is written", QueueSelect, Need.Virtio },
        { "VTP-COMMON-NUM-QUEUES", "4.1.4.3", "num_queues counts the queues: one of them at least is available, none from there on", NumQueues, Need.Virtio },
        { "VTP-COMMON-READ-ONLY", "4.1.4.3", "device_feature, num_queues, config_generation and queue_notify_off are read-only", FieldsReadOnly, Need.Virtio },
        { "VTP-COMMON-QUEUE-ABSENT", "4.1.4.3.1", "queue_size is 0 for a queue that is not available", QueueAbsent, Need.Virtio },
        { "VTP-COMMON-QUEUE-BACK", "4.1.4.3", "A selector out of range changes nothing for the queues that are there", QueueBack, Need.Virtio },
        { "VTP-COMMON-SIZE-POWER", "4.1.4.3.1", "queue_size is a power of two for every queue without packed rings", SizePower, Need.Virtio },
        { "VTP-COMMON-SIZE-LIMIT", "2.7", "queue_size is 32768 at most", SizeLimit, Need.Virtio },
        { "VTP-COMMON-SIZE-REDUCE", "4.1.4.3", "queue_size takes a smaller power of two", SizeReduce, Need.Virtio },
        { "VTP-COMMON-SIZE-REFUSE", "4.1.4.3.1", "Without packed rings queue_size never shows what is no power of two", SizeRefuse, Need.Virtio },
        { "VTP-COMMON-SIZE-MAXIMUM", "4.1.4.3", "queue_size never shows more than the maximum", SizeMaximum, CheckSeverity.Recommendation, Need.Virtio },
        { "VTP-COMMON-ADDRESSES", "4.1.4.3", "The three addresses of a queue read back as they are written", Addresses, Need.Virtio },
        { "VTP-COMMON-HALVES", "4.1.3.2", "The halves of a 64-bit field can be written and read by themselves, in any order", Halves, Need.Virtio },
        { "VTP-COMMON-QUEUES-APART", "4.1.4.3", "The fields of one queue are not those of another", QueuesApart, Need.TwoQueues },
        { "VTP-COMMON-ENABLE", "4.1.4.3", "queue_enable reads 1 after the queue was enabled", Enable, Need.Virtio },
        { "VTP-COMMON-ENABLE-APART", "4.1.4.3", "Enabling one queue enables no other", EnableApart, Need.TwoQueues },
        { "VTP-COMMON-LITTLE-ENDIAN", "4.1.3", "Fields of 32 bits are little-endian: VERSION_1 is bit 0 of bank 1", LittleEndian, Need.Virtio },
    };

    private static void DeviceSelect(CheckContext check) => ReadsBack(check, Offset.DeviceFeatureSelect, 4, "device_feature_select", [1, 0]);

    private static void DriverSelect(CheckContext check) => ReadsBack(check, Offset.DriverFeatureSelect, 4, "driver_feature_select", [1, 0]);

    private static void SelectsApart(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Set(Offset.DeviceFeatureSelect, 4, 0);
        driver.Set(Offset.DriverFeatureSelect, 4, 1);
        check.Equal("device_feature_select", 0, driver.Get(Offset.DeviceFeatureSelect, 4));
        driver.Set(Offset.DeviceFeatureSelect, 4, 1);
        driver.Set(Offset.DriverFeatureSelect, 4, 0);
        check.Equal("device_feature_select", 1, driver.Get(Offset.DeviceFeatureSelect, 4));
    }

    private static void QueueSelect(CheckContext check)
    {
        var driver = new RawDriver(check);
        ReadsBack(check, Offset.QueueSelect, 2, "queue_select", [(ulong)driver.QueueCount - 1, 0]);
    }

    private static void NumQueues(CheckContext check)
    {
        var driver = new RawDriver(check);
        int count = driver.QueueCount;
        int available = 0;
        for (int i = 0; i < count; i++)
        {
            driver.Select(i);
            available += driver.Get(Offset.QueueSize, 2) != 0 ? 1 : 0;
        }

        check.Require(available > 0, "an available queue", $"none of {count}");
        for (int i = count; i < count + 8 && i <= ushort.MaxValue && !HasAdministration(driver); i++)
        {
            driver.Select(i);
            check.Equal($"queue_size of queue {i}, with num_queues {count}", 0, driver.Get(Offset.QueueSize, 2));
        }
    }

    private static void FieldsReadOnly(CheckContext check)
    {
        var driver = new RawDriver(check);
        foreach ((int offset, int width, string name) in ((int, int, string)[])
        [
            (Offset.DeviceFeature, 4, "device_feature"), (Offset.NumQueues, 2, "num_queues"),
            (Offset.ConfigGeneration, 1, "config_generation"), (Offset.QueueNotifyOff, 2, "queue_notify_off"),
        ])
        {
            ulong before = driver.Get(offset, width);
            driver.Set(offset, width, ~before & AccessWidth.Mask(width));
            check.Equal(name, before, driver.Get(offset, width));
        }
    }

    private static void QueueAbsent(CheckContext check)
    {
        var driver = new RawDriver(check);
        if (HasAdministration(driver))
        {
            check.Skip("queues for administration lie beyond num_queues");
        }

        foreach (int index in (int[])[driver.QueueCount, 0x7fff, 0xffff])
        {
            driver.Select(index);
            if (index >= driver.QueueCount)
            {
                check.Equal($"queue_size of queue {index}", 0, driver.Get(Offset.QueueSize, 2));
            }
        }
    }

    private static void QueueBack(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Select(0);
        ulong size = driver.Get(Offset.QueueSize, 2);
        driver.Select(driver.QueueCount);
        driver.Select(0);
        check.Equal("queue_size of queue 0", size, driver.Get(Offset.QueueSize, 2));
    }

    private static void SizePower(CheckContext check) => ForEachSize(check, (index, size) =>
        check.Require(size == 0 || BitOperations.IsPow2(size), $"queue_size of queue {index} a power of two", $"{size}"));

    private static void SizeLimit(CheckContext check) => ForEachSize(check, (index, size) =>
        check.Require(size <= 32768, $"queue_size of queue {index} of 32768 at most", $"{size}"));

    private static void SizeReduce(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        ulong size = driver.Get(Offset.QueueSize, 2);
        for (ulong smaller = size / 2; smaller >= 1; smaller /= 2)
        {
            driver.Set(Offset.QueueSize, 2, smaller);
            check.Equal("queue_size", smaller, driver.Get(Offset.QueueSize, 2));
        }
    }

    private static void SizeRefuse(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        foreach (ulong wrong in (ulong[])[3, 5, 0x7f, 0xffff])
        {
            driver.Set(Offset.QueueSize, 2, wrong);
            ulong shown = driver.Get(Offset.QueueSize, 2);
            check.Require(shown == 0 || BitOperations.IsPow2(shown), $"a power of two after {wrong} was written", $"{shown}");
        }
    }

    private static void SizeMaximum(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        ulong most = driver.Get(Offset.QueueSize, 2);
        if (most == 32768)
        {
            check.Skip("the queue has the largest size that there is");
        }

        driver.Set(Offset.QueueSize, 2, most * 2);
        ulong shown = driver.Get(Offset.QueueSize, 2);
        check.Require(shown <= most, $"{most} at most after {most * 2} was written", $"{shown}");
    }

    private static void Addresses(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        ulong value = Low | (High << 32);
        foreach ((int offset, string name) in ((int, string)[])
            [(Offset.QueueDescriptors, "queue_desc"), (Offset.QueueDriver, "queue_driver"), (Offset.QueueDevice, "queue_device")])
        {
            driver.SetAddress(offset, value);
            value += 0x1000;
        }

        value = Low | (High << 32);
        foreach ((int offset, string name) in ((int, string)[])
            [(Offset.QueueDescriptors, "queue_desc"), (Offset.QueueDriver, "queue_driver"), (Offset.QueueDevice, "queue_device")])
        {
            check.Equal(name, value, driver.Get(offset, 4) | (driver.Get(offset + 4, 4) << 32));
            value += 0x1000;
        }
    }

    private static void Halves(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        driver.Set(Offset.QueueDescriptors + 4, 4, High);
        driver.Set(Offset.QueueDescriptors, 4, Low);
        check.Equal("high half of queue_desc", High, driver.Get(Offset.QueueDescriptors + 4, 4));
        driver.Set(Offset.QueueDescriptors + 4, 4, High + 1);
        check.Equal("low half of queue_desc after the high half was written", Low, driver.Get(Offset.QueueDescriptors, 4));
        driver.Set(Offset.QueueDescriptors, 4, Low + 0x1000);
        check.Equal("high half of queue_desc after the low half was written", High + 1, driver.Get(Offset.QueueDescriptors + 4, 4));
    }

    private static void QueuesApart(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        (int first, int second) = TwoAvailable(check, driver);
        driver.Select(first);
        driver.SetAddress(Offset.QueueDescriptors, Low);
        driver.Set(Offset.QueueSize, 2, 2);
        driver.Select(second);
        driver.SetAddress(Offset.QueueDescriptors, Low + 0x1000);
        driver.Set(Offset.QueueSize, 2, 4);
        driver.Select(first);
        check.Equal($"queue_desc of queue {first}", Low, driver.Get(Offset.QueueDescriptors, 4));
        check.Equal($"queue_size of queue {first}", 2, driver.Get(Offset.QueueSize, 2));
    }

    private static void Enable(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        check.Equal("queue_enable", 0, driver.Get(Offset.QueueEnable, 2));
        driver.SetUpQueue(0);
        check.Equal("queue_enable", 1, driver.Get(Offset.QueueEnable, 2));
    }

    private static void EnableApart(CheckContext check)
    {
        RawDriver driver = Negotiated(check);
        (int first, int second) = TwoAvailable(check, driver);
        driver.SetUpQueue(first);
        driver.Select(second);
        check.Equal($"queue_enable of queue {second}", 0, driver.Get(Offset.QueueEnable, 2));
    }

    private static void LittleEndian(CheckContext check) =>
        check.Require((new RawDriver(check).ReadFeatures(1) & 1) != 0, "bit 0 of bank 1 set", Hex(new RawDriver(check).ReadFeatures(1)));

    /// <summary>Later versions put queues for administration beyond num_queues.</summary>
    private static bool HasAdministration(RawDriver driver) => (driver.OfferedFeatures & AdministrationQueues) != 0;

    private static void ReadsBack(CheckContext check, int offset, int width, string name, ulong[] values)
    {
        var driver = new RawDriver(check);
        foreach (ulong value in values)
        {
            driver.Set(offset, width, value);
            check.Equal(name, value, driver.Get(offset, width));
        }
    }

    private static void ForEachSize(CheckContext check, System.Action<int, ulong> look)
    {
        RawDriver driver = Negotiated(check);
        for (int i = 0; i < driver.QueueCount; i++)
        {
            driver.Select(i);
            look(i, driver.Get(Offset.QueueSize, 2));
        }
    }

    /// <summary>A device that has accepted the least features, with queue 0 selected.</summary>
    private static RawDriver Negotiated(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        driver.Select(0);
        return driver;
    }

    private static (int First, int Second) TwoAvailable(CheckContext check, RawDriver driver)
    {
        int first = -1;
        for (int i = 0; i < driver.QueueCount; i++)
        {
            driver.Select(i);
            if (driver.Get(Offset.QueueSize, 2) < 4)
            {
                continue;
            }

            if (first >= 0)
            {
                return (first, i);
            }

            first = i;
        }

        check.Skip("there are no two queues of 4 descriptors");
        return default;
    }
}
