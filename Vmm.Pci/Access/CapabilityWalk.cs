using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Access;

/// <summary>Reads a device's capability lists without believing them: bounded, aligned, inside the space, no entry twice (VFIO-7).</summary>
public static class CapabilityWalk
{
    private const int LastHeader = PciConfigurationSpace.ConventionalLength - 4;
    private const int NoDevice = 0xff;

    /// <summary>Walks the standard list.</summary>
    /// <param name="image">Configuration space, at least 256 bytes.</param>
    /// <param name="defect">What is wrong with the list, or null; the entries before it are good.</param>
    /// <exception cref="ArgumentException">Fewer bytes.</exception>
    public static IReadOnlyList<DeviceCapability> Standard(ReadOnlySpan<byte> image, out string? defect)
    {
        RequireLength(image, PciConfigurationSpace.ConventionalLength);
        var found = new List<DeviceCapability>();
        defect = null;
        if ((image[ConfigurationRegisters.Status] & (int)PciStatus.CapabilitiesList) == 0)
        {
            return found;
        }

        bool[] visited = new bool[PciConfigurationSpace.ConventionalLength / 4];
        for (int at = image[ConfigurationRegisters.CapabilitiesPointer] & ~3; at != 0; at = image[at + 1] & ~3)
        {
            defect = at is < ConfigurationRegisters.FirstCapability or > LastHeader ? $"the list points to 0x{at:x2}, outside of 0x40 to 0xfc"
                : visited[at / 4] ? $"the list comes to 0x{at:x2} twice"
                : image[at] == NoDevice ? $"there is no capability at 0x{at:x2}"
                : null;
            if (defect is not null)
            {
                break;
            }

            visited[at / 4] = true;
            found.Add(new DeviceCapability(image[at], 0, at, 0));
        }

        return WithEnds(found, PciConfigurationSpace.ConventionalLength);
    }

    /// <summary>Walks the extended list.</summary>
    /// <param name="image">Configuration space; without extended space the list is empty.</param>
    /// <param name="defect">What is wrong with the list, or null; the entries before it are good.</param>
    public static IReadOnlyList<DeviceCapability> Extended(ReadOnlySpan<byte> image, out string? defect)
    {
        var found = new List<DeviceCapability>();
        defect = null;
        if (image.Length < PciConfigurationSpace.ExpressLength)
        {
            return found;
        }

        bool[] visited = new bool[PciConfigurationSpace.ExpressLength / 4];
        int at = ConfigurationRegisters.FirstExtendedCapability;
        while (at != 0)
        {
            uint header = BinaryPrimitives.ReadUInt32LittleEndian(image[at..]);
            bool first = at == ConfigurationRegisters.FirstExtendedCapability;
            if (first && header is 0 or uint.MaxValue)
            {
                // That is how an empty list is said, and what a space that is not there reads.
                return found;
            }

            if (header == uint.MaxValue)
            {
                defect = $"there is no extended capability at 0x{at:x3}";
                break;
            }

            visited[at / 4] = true;
            found.Add(new DeviceCapability((int)(header & 0xffff), (int)(header >> 16) & 0xf, at, 0));
            at = (int)(header >> 20) & ~3;
            defect = at is not 0 and < ConfigurationRegisters.FirstExtendedCapability ? $"the extended list points to 0x{at:x3}, before 0x100"
                : visited[at / 4] ? $"the extended list comes to 0x{at:x3} twice"
                : null;
            if (defect is not null)
            {
                break;
            }
        }

        return WithEnds(found, PciConfigurationSpace.ExpressLength);
    }

    private static List<DeviceCapability> WithEnds(List<DeviceCapability> found, int end)
    {
        for (int i = 0; i < found.Count; i++)
        {
            int limit = end;
            foreach (DeviceCapability other in found)
            {
                if (other.Offset > found[i].Offset)
                {
                    limit = Math.Min(limit, other.Offset);
                }
            }

            found[i] = found[i] with { End = limit };
        }

        return found;
    }

    private static void RequireLength(ReadOnlySpan<byte> image, int length)
    {
        if (image.Length < length)
        {
            throw new ArgumentException($"configuration space has at least {length} bytes, not {image.Length}", nameof(image));
        }
    }
}
