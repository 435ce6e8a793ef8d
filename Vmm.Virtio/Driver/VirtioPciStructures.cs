using System.Collections.Generic;
using System.Numerics;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Driver;

/// <summary>
/// The structures of a virtio function, found by its capabilities (virtio 1.2, 4.1.4). Nothing that the function says is believed unchecked (DRV-2).
/// </summary>
public sealed class VirtioPciStructures
{
    // Dwords between the header and the end of configuration space: a longer walk is a loop.
    private const int MaximumCapabilities = 48;
    private const int ConfigurationLength = 0x100;

    private readonly List<SharedMemoryLocation> _sharedMemory = [];

    private VirtioPciStructures()
    {
    }

    /// <summary>What the device is: its device id less 0x1040, or the subsystem id of a transitional one (4.1.2, 4.1.2.3).</summary>
    public VirtioDeviceType DeviceType { get; private init; }

    /// <summary>The common configuration.</summary>
    public StructureLocation Common { get; private set; }

    /// <summary>Notifications.</summary>
    public StructureLocation Notification { get; private set; }

    /// <summary>Bytes between the addresses of two notify offsets; 0 if all queues share one.</summary>
    public uint NotifyMultiplier { get; private set; }

    /// <summary>The ISR status byte; a driver without INTx does without.</summary>
    public StructureLocation? Isr { get; private set; }

    /// <summary>Device configuration, of devices that have any.</summary>
    public StructureLocation? Device { get; private set; }

    /// <summary>Shared memory regions, one an id.</summary>
    public IReadOnlyList<SharedMemoryLocation> SharedMemory => _sharedMemory;

    /// <summary>Virtio capabilities that were passed over because they could not be used.</summary>
    public int Unusable { get; private set; }

    /// <summary>Walks the capabilities and takes the first usable one of each type.</summary>
    /// <param name="access">The function.</param>
    /// <exception cref="DriverException">Not a virtio function, or one without a usable structure that every driver needs.</exception>
    public static VirtioPciStructures Discover(IPciFunctionAccess access)
    {
        if (!TryIdentify(access, out VirtioDeviceType type))
        {
            throw new DriverException("discovery", "vendor and device id of the function are none of virtio's");
        }

        var found = new VirtioPciStructures { DeviceType = type };
        if (((PciStatus)access.ReadConfiguration(ConfigurationRegisters.Status, 2) & PciStatus.CapabilitiesList) != 0)
        {
            found.Walk(access);
        }

        if (found.Common.Length == 0 || found.Notification.Length == 0)
        {
            throw new DriverException(
                "discovery", $"no usable common configuration and notification structure; {found.Unusable} capabilities were unusable");
        }

        return found;
    }

    /// <summary>Says whether a function is a virtio device (4.1.2), and of which type.</summary>
    /// <param name="access">The function.</param>
    /// <param name="type">The type, known to <see cref="VirtioDeviceType"/> or not.</param>
    public static bool TryIdentify(IPciFunctionAccess access, out VirtioDeviceType type)
    {
        uint id = access.ReadConfiguration(ConfigurationRegisters.DeviceId, 2);
        type = (VirtioDeviceType)(
            id >= VirtioPciIds.DeviceBase
                ? id - VirtioPciIds.DeviceBase
                : access.ReadConfiguration(ConfigurationRegisters.SubsystemId, 2));
        return id is >= VirtioPciIds.FirstDevice and <= VirtioPciIds.LastDevice
            && access.ReadConfiguration(ConfigurationRegisters.VendorId, 2) == VirtioPciIds.Vendor;
    }

    private void Walk(IPciFunctionAccess access)
    {
        int at = (int)access.ReadConfiguration(ConfigurationRegisters.CapabilitiesPointer, 1) & 0xfc;
        for (int steps = 0; at >= ConfigurationRegisters.FirstCapability && steps < MaximumCapabilities; steps++)
        {
            if (access.ReadConfiguration(at, 1) == CapabilityIds.VendorSpecific && !TryTake(access, at))
            {
                Unusable++;
            }

            at = (int)access.ReadConfiguration(at + 1, 1) & 0xfc;
        }
    }

    private bool TryTake(IPciFunctionAccess access, int at)
    {
        uint length = access.ReadConfiguration(at + 2, 1);
        if (length < VirtioPciIds.CapabilityLength || at + length > ConfigurationLength)
        {
            return false;
        }

        var type = (VirtioPciCapabilityType)access.ReadConfiguration(at + 3, 1);
        int bar = (int)access.ReadConfiguration(at + 4, 1);
        var where = new StructureLocation(bar, access.ReadConfiguration(at + 8, 4), access.ReadConfiguration(at + 12, 4));
        switch (type)
        {
            case VirtioPciCapabilityType.CommonConfiguration:
                return Fits(access, where, CommonConfigurationOffset.QueueNotifyData, 4) && (Common.Length != 0 || Set(() => Common = where));
            case VirtioPciCapabilityType.Notification:
                return length >= VirtioPciIds.NotificationCapabilityLength
                    && TryTakeNotification(access, where, access.ReadConfiguration(at + 16, 4));
            case VirtioPciCapabilityType.Isr:
                return Fits(access, where, 1, 1) && (Isr is not null || Set(() => Isr = where));
            case VirtioPciCapabilityType.DeviceConfiguration:
                return Fits(access, where, 1, 4) && (Device is not null || Set(() => Device = where));
            case VirtioPciCapabilityType.SharedMemory:
                return length >= VirtioPciIds.Capability64Length && TryTakeSharedMemory(access, at, where);
            default:
                // Types that this driver has no use for are passed over, also those that are yet to be defined (4.1.4.1).
                return true;
        }
    }

    private bool TryTakeNotification(IPciFunctionAccess access, StructureLocation where, uint multiplier)
    {
        // 4.1.4.4.1: an even power of two, or 0.
        if (!Fits(access, where, 2, 2) || (multiplier != 0 && (!BitOperations.IsPow2(multiplier) || multiplier < 2)))
        {
            return false;
        }

        if (Notification.Length == 0)
        {
            (Notification, NotifyMultiplier) = (where, multiplier);
        }

        return true;
    }

    private bool TryTakeSharedMemory(IPciFunctionAccess access, int at, in StructureLocation low)
    {
        byte id = (byte)access.ReadConfiguration(at + 5, 1);
        ulong offset = low.Offset | ((ulong)access.ReadConfiguration(at + 16, 4) << 32);
        ulong length = low.Length | ((ulong)access.ReadConfiguration(at + 20, 4) << 32);
        if (low.Bar >= 6 || length == 0 || !GuestRange.Fits(offset, length, access.GetBarLength(low.Bar)))
        {
            return false;
        }

        if (!_sharedMemory.Exists(region => region.Id == id))
        {
            _sharedMemory.Add(new SharedMemoryLocation(id, low.Bar, offset, length));
        }

        return true;
    }

    private static bool Set(System.Action set)
    {
        set();
        return true;
    }

    /// <summary>Bar numbers from 6 up are reserved, and a function may name a BAR that it has not.</summary>
    private static bool Fits(IPciFunctionAccess access, StructureLocation where, uint least, uint alignment)
    {
        return where.Bar < 6 && where.Length >= least && where.Offset % alignment == 0
            && GuestRange.Fits(where.Offset, where.Length, access.GetBarLength(where.Bar));
    }
}
