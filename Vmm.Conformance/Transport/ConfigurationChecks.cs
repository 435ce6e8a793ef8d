using System;
using System.Linq;
using Vmm.Conformance.Driving;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;
using static Vmm.Conformance.CheckContext;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Conformance.Transport;

/// <summary>Device configuration and its generation (virtio 1.2, 2.5, 4.1.3 and 4.1.4.6).</summary>
internal static class ConfigurationChecks
{
    private const ulong NetControl = 1UL << 17;
    private const ulong NetControlMac = 1UL << 23;
    private const ulong NetMac = 1UL << 5;

    // The third queue, as long as MQ is not negotiated (5.1.2).
    private const int ControlQueue = 2;

    public static CheckGroup Group { get; } = new("device configuration", "virtio 1.2")
    {
        { "VTP-CONFIG-READABLE", "2.5.2", "Device configuration can be read before FEATURES_OK", Readable, Need.DeviceConfiguration },
        { "VTP-CONFIG-LENGTH", "4.1.4.6", "Device configuration has room for the first field of its type", Length, Need.DeviceConfiguration },
        { "VTP-CONFIG-HALVES", "4.1.3.2", "The halves of the capacity of a block device can be read by themselves", Halves, VirtioDeviceType.Block, Need.DeviceConfiguration },
        { "VTP-CONFIG-STABLE", "2.5", "Configuration reads the same after a reset", Stable, CheckSeverity.Recommendation, Need.DeviceConfiguration },
        { "VTP-CONFIG-GENERATION-STABLE", "2.5.1", "config_generation stands still around reads of configuration that does not change", GenerationStable, Need.DeviceConfiguration },
        { "VTP-CONFIG-GENERATION", "4.1.4.3.1", "config_generation has changed when changed configuration was read", Generation, VirtioDeviceType.Net, Need.DeviceConfiguration, NetControl | NetControlMac | NetMac },
    };

    private static void Readable(CheckContext check)
    {
        if (check.DeviceType is not ((int)VirtioDeviceType.Net or (int)VirtioDeviceType.Block or (int)VirtioDeviceType.Console))
        {
            check.Skip("the device type has no configuration that is known");
        }

        new RawDriver(check).Recognise();
        byte[] values = Read(check, Where(check));
        check.Require(values.Any(static b => b != 0xff), "values", "all ones");
    }

    private static void Length(CheckContext check)
    {
        uint least = (VirtioDeviceType)check.DeviceType switch
        {
            VirtioDeviceType.Net => 6,
            VirtioDeviceType.Block => 8,
            VirtioDeviceType.Console => 4,
            _ => 1,
        };
        check.Require(Where(check).Length >= least, $"{least} bytes at least", $"{Where(check).Length}");
    }

    private static void Halves(CheckContext check)
    {
        StructureLocation where = Where(check);
        ulong low = check.Access.ReadBar(where.Bar, where.Offset, 4);
        ulong high = check.Access.ReadBar(where.Bar, where.Offset + 4, 4);
        check.Require(low != uint.MaxValue || high != uint.MaxValue, "a capacity", "all ones");
        check.Require(high < 1UL << 23, "a high half of a capacity in sectors of 512 bytes", Hex(high));
        check.Equal("high half, read again", high, check.Access.ReadBar(where.Bar, where.Offset + 4, 4));
        check.Equal("low half, read again", low, check.Access.ReadBar(where.Bar, where.Offset, 4));
    }

    private static void Stable(CheckContext check)
    {
        var driver = new RawDriver(check);
        StructureLocation where = Where(check);
        byte[] first = Read(check, where);
        driver.Negotiate();
        driver.Reset();
        byte[] second = Read(check, where);
        check.Require(first.SequenceEqual(second), Convert.ToHexString(first), Convert.ToHexString(second));
    }

    private static void GenerationStable(CheckContext check)
    {
        var driver = new RawDriver(check);
        StructureLocation where = Where(check);
        bool stood = false;
        for (int i = 0; i < 10 && !stood; i++)
        {
            ulong before = driver.Get(Offset.ConfigGeneration, 1);
            Read(check, where);
            stood = driver.Get(Offset.ConfigGeneration, 1) == before;
        }

        check.Require(stood, "a generation that stands still", "another one after each of 10 reads");
    }

    private static void Generation(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate(NetControl | NetControlMac | NetMac);
        RawQueue queue = driver.SetUpQueue(ControlQueue);
        driver.Start();
        StructureLocation where = Where(check);
        byte[] before = ReadAddress(check, where);
        ulong generation = driver.Get(Offset.ConfigGeneration, 1);
        byte[] wanted = [0x02, 0x11, 0x22, 0x33, 0x44, (byte)(before[5] ^ 1)];
        SetAddress(check, driver, queue, wanted);
        byte[] after = ReadAddress(check, where);
        if (after.SequenceEqual(before))
        {
            check.Skip("the device does not show a changed address in its configuration");
        }

        check.Require(driver.Get(Offset.ConfigGeneration, 1) != generation, $"a config_generation other than {Hex(generation)}", "the same");
    }

    private static void SetAddress(CheckContext check, RawDriver driver, RawQueue queue, byte[] address)
    {
        // VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET; the acknowledgement is apart (5.1.6.5).
        const int Acknowledgement = 64;
        (queue.Data[0], queue.Data[1], queue.Data[Acknowledgement]) = (1, 1, 0xff);
        address.CopyTo(queue.Data[2..]);
        queue.Submit(new DriverSegment(queue.DataAddress, 8, false), new DriverSegment(queue.DataAddress + Acknowledgement, 1, true));
        driver.Notify(queue);
        check.Await(() => queue.UsedIndex == 1, "the control request used", () => $"used index {queue.UsedIndex}");
        if (queue.Data[Acknowledgement] != 0)
        {
            check.Skip("the device refuses to change its address");
        }
    }

    private static byte[] ReadAddress(CheckContext check, StructureLocation where) =>
        [.. Enumerable.Range(0, 6).Select(i => (byte)check.Access.ReadBar(where.Bar, where.Offset + (uint)i, 1))];

    private static byte[] Read(CheckContext check, StructureLocation where)
    {
        // Larger structures end in room for what is to come.
        int length = (int)Math.Min(where.Length, 256);
        return [.. Enumerable.Range(0, length).Select(i => (byte)check.Access.ReadBar(where.Bar, where.Offset + (uint)i, 1))];
    }

    private static StructureLocation Where(CheckContext check) =>
        check.Structures.Device ?? throw new CheckSkippedException("there is no device configuration");
}
