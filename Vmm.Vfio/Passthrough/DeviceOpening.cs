using System;
using System.Buffers.Binary;
using Microsoft.Extensions.Logging;
using Vmm.Pci.Access;
using Vmm.Pci.Bars;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Vfio.Passthrough;

/// <summary>The first steps with a device: to a known state, and find out what it is.</summary>
internal static class DeviceOpening
{
    private const ushort NoDevice = 0xffff;

    /// <summary>Resets a device that does not come reset with its bus, if that is possible, and says so if not.</summary>
    public static void ResetWithBus(IPciDeviceBackend backend, ILogger logger)
    {
        if (!backend.CanReset && backend.TryHotReset() is { } reason)
        {
            Log.ResetRefused(logger, backend.Name, reason);
        }
    }

    /// <summary>Resets a device as far as possible.</summary>
    /// <returns>Null, or why it was not reset.</returns>
    public static string? TryReset(IPciDeviceBackend backend)
    {
        if (!backend.CanReset)
        {
            return backend.TryHotReset();
        }

        try
        {
            backend.Reset();
            return null;
        }
        catch (VfioException e)
        {
            return e.Message;
        }
    }

    /// <summary>Reads configuration space and asks for regions and interrupts.</summary>
    /// <exception cref="VfioException">There is no device to read, or it is none that a guest can be given.</exception>
    public static DeviceLayout ReadLayout(IPciDeviceBackend backend, DeviceAccess access)
    {
        BackendRegion region = backend.GetRegion(PciRegionIndex.Configuration);
        if (region.Size < PciConfigurationSpace.ConventionalLength || !region.CanRead || !region.CanWrite)
        {
            throw new VfioException(
                "reading configuration space", backend.Name, 0, $"the device has 0x{region.Size:x} bytes of it, or cannot read or write them");
        }

        int length = region.Size >= PciConfigurationSpace.ExpressLength
            ? PciConfigurationSpace.ExpressLength
            : PciConfigurationSpace.ConventionalLength;
        byte[] image = new byte[length];
        for (int offset = 0; offset < length; offset += 4)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(offset), (uint)access.Read(PciRegionIndex.Configuration, (ulong)offset, 4));
        }

        bool isVirtual = backend.Identity is { PhysicalFunction: not null };
        if (isVirtual && BinaryPrimitives.ReadUInt16LittleEndian(image) is NoDevice)
        {
            // A virtual function has no ids of its own (SR-IOV 3.4.1.1, 3.4.1.2); not every source of a device fills them in.
            BinaryPrimitives.WriteUInt16LittleEndian(image, backend.Identity!.VendorId);
            BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(ConfigurationRegisters.DeviceId), backend.Identity.DeviceId);
        }

        if (BinaryPrimitives.ReadUInt16LittleEndian(image) is NoDevice)
        {
            throw new VfioException(
                "reading configuration space", backend.Name, 0, "no vendor ID: the device is gone, or asleep, or was left broken by its last user");
        }

        int headerType = image[ConfigurationRegisters.HeaderType] & 0x7f;
        if (headerType != 0)
        {
            throw new VfioException(
                "reading configuration space", backend.Name, 0, $"header type {headerType}: only endpoints can be given to a guest, not bridges");
        }

        var regions = new BackendRegion[PciBar.RomIndex + 1];
        for (int index = 0; index < regions.Length; index++)
        {
            regions[index] = backend.GetRegion((PciRegionIndex)index);
        }

        return DeviceLayoutReader.Read(image, regions, backend.GetInterrupt, isVirtual);
    }
}
