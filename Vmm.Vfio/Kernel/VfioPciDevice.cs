using System;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;
using Vmm.Vfio.Interop;

namespace Vmm.Vfio.Kernel;

/// <summary>A PCI device that the kernel gives us through VFIO.</summary>
/// <remarks>
/// <see cref="TryRead"/> and <see cref="TryWrite"/> from any thread, also during and after disposal; everything else from one thread at a time.
/// No lock. Regions and interrupts are asked for once, when the device is attached.
/// <para>What <see cref="Map"/> gives keeps the device open: it is disposed before the device. Touching it while the device does not decode
/// memory (Memory Space of its command register is 0) is a SIGBUS.</para>
/// </remarks>
public sealed unsafe partial class VfioPciDevice : IPciDeviceBackend
{
    private const int RegionCount = (int)PciRegionIndex.Configuration + 1;

    private readonly VfioHost _owner;
    private readonly VfioAttachment _attachment;
    private readonly VfioRegion[] _regions = new VfioRegion[RegionCount];
    private int _disposed;

    internal VfioPciDevice(VfioHost owner, VfioAttachment attachment)
    {
        (_owner, _attachment) = (owner, attachment);
        var info = new vfio_device_info { argsz = (uint)sizeof(vfio_device_info) };
        int result = File.Ioctl(VfioRequests.VFIO_DEVICE_GET_INFO, new Span<byte>(&info, sizeof(vfio_device_info)));
        if (result < 0)
        {
            throw Refuse(nameof(VfioRequests.VFIO_DEVICE_GET_INFO), result, "the device does not answer");
        }

        if ((info.flags & VfioConstants.VFIO_DEVICE_FLAGS_PCI) == 0 || info.num_regions < RegionCount)
        {
            throw Refuse(nameof(VfioRequests.VFIO_DEVICE_GET_INFO), 0, $"not a PCI device (flags 0x{info.flags:x}, {info.num_regions} regions)");
        }

        CanReset = (info.flags & VfioConstants.VFIO_DEVICE_FLAGS_RESET) != 0;
        for (int i = 0; i < RegionCount; i++)
        {
            _regions[i] = VfioRegion.Read(File, Name, (PciRegionIndex)i);
        }

        for (int i = 0; i < _interrupts.Length; i++)
        {
            _interrupts[i] = i < (int)info.num_irqs ? ReadInterrupt((PciInterruptIndex)i) : default;
        }
    }

    /// <summary>The device's address, for example <c>0000:00:10.0</c>.</summary>
    public string Name => _attachment.Location.Name;

    /// <summary>Its directory in sysfs.</summary>
    public string Path => _attachment.Location.Path;

    /// <inheritdoc/>
    public HostIdentity? Identity => _attachment.Location.Identity;

    /// <summary>Its IOMMU group.</summary>
    public int Group => _attachment.Location.Group;

    /// <summary>True if it was opened by itself and put into an iommufd, false if through its group.</summary>
    public bool UsesIommufd => _attachment.Group is null;

    /// <inheritdoc/>
    public bool CanReset { get; }

    /// <inheritdoc/>
    public IDmaMapper Dma => _attachment.Space;

    private IKernelFile File => _attachment.File;

    /// <inheritdoc/>
    public BackendRegion GetRegion(PciRegionIndex index) => RegionOf(index).Info;

    /// <inheritdoc/>
    public bool TryRead(PciRegionIndex region, ulong offset, Span<byte> destination)
    {
        return Find(region, offset, destination.Length) is ulong at && File.TryRead(at, destination);
    }

    /// <inheritdoc/>
    public bool TryWrite(PciRegionIndex region, ulong offset, ReadOnlySpan<byte> source)
    {
        return Find(region, offset, source.Length) is ulong at && File.TryWrite(at, source);
    }

    /// <inheritdoc/>
    public HostMemory Map(PciRegionIndex region, RegionArea area, bool writable)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        VfioRegion found = RegionOf(region);
        if (area.Length == 0
            || !found.Info.MappableAreas.Any(
                whole => area.Offset >= whole.Offset && GuestRange.Fits(area.Offset - whole.Offset, area.Length, whole.Length)))
        {
            throw new ArgumentException($"0x{area.Length:x} bytes at 0x{area.Offset:x} lie in no mappable area of region {region}", nameof(area));
        }

        try
        {
            return File.Map(found.FileOffset + area.Offset, area.Length, writable);
        }
        catch (HostException e)
        {
            throw Refuse("mmap", -e.Errno, $"cannot map 0x{area.Length:x} bytes at 0x{area.Offset:x} of region {region}");
        }
    }

    /// <summary>
    /// Takes the device off memory and interrupts, closes it, at which the kernel resets it, and gives group and container back if it was their last.
    /// </summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            // Best effort, in this order: closing the device does it once more.
            StopMastering();
            DisableAllInterrupts();
            _owner.Release(_attachment);
        }
    }

    private void StopMastering()
    {
        Span<byte> command = stackalloc byte[2];
        if (TryRead(PciRegionIndex.Configuration, ConfigurationRegisters.Command, command))
        {
            MemoryMarshal.Write(command, (ushort)(MemoryMarshal.Read<ushort>(command) & ~(uint)PciCommand.BusMaster));
            _ = TryWrite(PciRegionIndex.Configuration, ConfigurationRegisters.Command, command);
        }
    }

    private ulong? Find(PciRegionIndex region, ulong offset, int length)
    {
        VfioRegion[] regions = _regions;
        return (uint)region < (uint)regions.Length && GuestRange.Fits(offset, (ulong)length, regions[(int)region].Info.Size)
            ? regions[(int)region].FileOffset + offset
            : null;
    }

    private VfioRegion RegionOf(PciRegionIndex index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)RegionCount, nameof(index));
        return _regions[(int)index];
    }

    private VfioException Refuse(string step, int result, string detail) => Refusal.Of(step, Name, result, detail);
}
