using System;
using System.Buffers.Binary;
using System.Globalization;
using System.IO;
using System.Linq;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Nested.VfioProbe;

/// <summary>Says what a device has, and holds its configuration space against sysfs.</summary>
internal static class Description
{
    public static unsafe void Write(VfioPciDevice device)
    {
        uint id = Read(device, 0, 4);
        Fact(device, "ID", $"{id & 0xffff:x4}:{id >> 16:x4} group {device.Group} reset {device.CanReset} iommufd {device.UsesIommufd}");
        string sysfs = string.Concat(Number(device, "vendor"), ":", Number(device, "device"), ":", Number(device, "class"));
        string ours = $"{id & 0xffff:x4}:{id >> 16:x4}:{Read(device, 8, 4) >> 8:x6}";
        Fact(device, "SAME", sysfs == ours ? "yes" : $"no: {sysfs} and {ours}");
        for (PciRegionIndex index = 0; index <= PciRegionIndex.Configuration; index++)
        {
            BackendRegion region = device.GetRegion(index);
            if (region.Size == 0)
            {
                continue;
            }

            string areas = string.Join(' ', region.MappableAreas.Select(area => $"{area.Offset:x}+{area.Length:x}"));
            Fact(
                device, "REGION",
                $"{index} {region.Size:x} {(region.CanRead ? "r" : "")}{(region.CanWrite ? "w" : "")}"
                + $"{(region.TableIsMappable ? "t" : "")} [{areas}]");
            foreach (RegionArea area in region.MappableAreas.Where(area => area.Length >= (ulong)Environment.SystemPageSize))
            {
                using HostMemory map = device.Map(index, area, writable: true);
                if (map.Length < area.Length)
                {
                    throw new InvalidDataException($"{area} of {index} is mapped with {map.Length} bytes");
                }
            }
        }

        foreach (PciInterruptIndex index in Enum.GetValues<PciInterruptIndex>())
        {
            if (device.GetInterrupt(index) is { Count: > 0 } interrupt)
            {
                Fact(device, "IRQ", $"{index} {interrupt.Count}{(interrupt.CanGrow ? " grows" : "")}{(interrupt.IsAutomasked ? " automasked" : "")}");
            }
        }

        Fact(device, "HOTRESET", device.TryHotReset() ?? "done");
    }

    private static void Fact(VfioPciDevice device, string key, string value) => Console.WriteLine($"{key}-{device.Name} {value}");

    private static uint Read(VfioPciDevice device, ulong offset, int width)
    {
        Span<byte> bytes = stackalloc byte[4];
        bytes.Clear();
        return device.TryRead(PciRegionIndex.Configuration, offset, bytes[..width])
            ? BinaryPrimitives.ReadUInt32LittleEndian(bytes)
            : throw new IOException($"{device.Name}: configuration space does not answer at {offset}");
    }

    private static string Number(VfioPciDevice device, string file)
    {
        return File.ReadAllText($"{device.Path}/{file}").Trim()[2..].ToLower(CultureInfo.InvariantCulture);
    }
}
