using System;
using System.Linq;
using System.Runtime.InteropServices;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Vfio.Interop;

namespace Vmm.Tests.Fakes;

/// <summary>An open device of <see cref="FakeVfioKernel"/>, through its group or by itself.</summary>
internal sealed unsafe class FakeVfioDeviceFile(FakeVfioKernel kernel, string path, FakeVfioDevice device, bool isOpenedByItself)
    : FakeVfioFile(kernel, path)
{
    private const int RegionShift = 40;

    private readonly FakeVfioRegion _nowhere = new() { Flags = 0 };
    private FakeIommufd? _bound;
    private bool _attached;

    public FakeVfioDevice Device => device;

    public bool IsOpenedByItself => isOpenedByItself;

    /// <summary>Where the device masters memory now.</summary>
    public FakeVfioSpace? Space
    {
        get
        {
            return isOpenedByItself ? _attached ? _bound : null
                : Kernel.Files.Values.OfType<FakeVfioGroup>().FirstOrDefault(group => group.Group == device.Group)?.Container;
        }
    }

    public override bool TryRead(ulong offset, Span<byte> destination)
    {
        (PciRegionIndex index, FakeVfioRegion region, ulong at) = Find(offset);
        device.Accesses.Add((index, at, destination.Length, null));
        if (IsClosed || region.IsDead || (region.Flags & 1) == 0 || !GuestRange.Fits(at, (ulong)destination.Length, region.Size))
        {
            return false;
        }

        region.Bytes.Slice((int)at, destination.Length).CopyTo(destination);
        return true;
    }

    public override bool TryWrite(ulong offset, ReadOnlySpan<byte> source)
    {
        (PciRegionIndex index, FakeVfioRegion region, ulong at) = Find(offset);
        ulong value = 0;
        source.CopyTo(new Span<byte>(&value, sizeof(ulong)));
        device.Accesses.Add((index, at, source.Length, value));
        if (IsClosed || region.IsDead || (region.Flags & 2) == 0 || !GuestRange.Fits(at, (ulong)source.Length, region.Size))
        {
            return false;
        }

        source.CopyTo(region.Bytes.Slice((int)at, source.Length));
        if (device.VirtualOf is not null)
        {
            device.Configuration.Bytes[4] &= 0xfd;
        }

        return true;
    }

    public override HostMemory Map(ulong offset, ulong length, bool writable)
    {
        (PciRegionIndex index, FakeVfioRegion region, ulong at) = Find(offset);
        int refused = Note("mmap", FormattableString.Invariant($"{(int)index} 0x{at:x}+0x{length:x}"));
        return refused != 0 || (region.Flags & 4) == 0
            ? throw new HostException("mmap", refused != 0 ? -refused : Errno.EINVAL, "the fake kernel refuses")
            : HostMemory.MapDescriptor(region.Memory.Descriptor, at, length, writable);
    }

    protected override int Handle(uint request, nuint value)
    {
        if (request != VfioRequests.VFIO_DEVICE_RESET)
        {
            return -Errno.ENOTTY;
        }

        if (Note(nameof(VfioRequests.VFIO_DEVICE_RESET)) is < 0 and var refused)
        {
            return refused;
        }

        if (!device.CanReset)
        {
            return -Errno.EINVAL;
        }

        device.Resets++;
        device.Configuration.Bytes.Slice(4, 2).Clear();
        return 0;
    }

    protected override int Handle(uint request, Span<byte> argument)
    {
        if (isOpenedByItself
            && !_attached
            && request is not (IommufdRequests.VFIO_DEVICE_BIND_IOMMUFD or IommufdRequests.VFIO_DEVICE_ATTACH_IOMMUFD_PT))
        {
            return -Errno.EINVAL;
        }

        switch (request)
        {
            case VfioRequests.VFIO_DEVICE_GET_INFO:
                As<vfio_device_info>(argument) = new()
                {
                    argsz = (uint)argument.Length,
                    flags = device.Flags | (device.CanReset ? 1u : 0),
                    num_regions = 9,
                    num_irqs = 5,
                };
                Kernel.Falsify?.Invoke(request, 0, argument.ToArray());
                return Note(nameof(VfioRequests.VFIO_DEVICE_GET_INFO));
            case VfioRequests.VFIO_DEVICE_GET_REGION_INFO:
                uint region = As<vfio_region_info>(argument).index;
                return Note(nameof(VfioRequests.VFIO_DEVICE_GET_REGION_INFO), $"{region}") is < 0 and var noRegion
                    ? noRegion
                    : GetRegion(region, argument);
            case VfioRequests.VFIO_DEVICE_GET_IRQ_INFO:
                uint kind = As<vfio_irq_info>(argument).index;
                return Note(nameof(VfioRequests.VFIO_DEVICE_GET_IRQ_INFO), $"{kind}") is < 0 and var noKind ? noKind : GetInterrupt(kind, argument);
            case VfioRequests.VFIO_DEVICE_SET_IRQS:
                return SetInterrupts(
                    As<vfio_irq_set>(argument[..sizeof(vfio_irq_set)]), MemoryMarshal.Cast<byte, int>(argument[sizeof(vfio_irq_set)..]));
            case VfioRequests.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
                return Note(nameof(VfioRequests.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO)) is < 0 and var noInfo ? noInfo : GetDependents(argument);
            case VfioRequests.VFIO_DEVICE_PCI_HOT_RESET:
                return Note(nameof(VfioRequests.VFIO_DEVICE_PCI_HOT_RESET)) is < 0 and var noReset ? noReset : HotReset(argument);
            case IommufdRequests.VFIO_DEVICE_BIND_IOMMUFD:
                return Note(nameof(IommufdRequests.VFIO_DEVICE_BIND_IOMMUFD)) is < 0 and var noBind
                    ? noBind
                    : Bind(As<vfio_device_bind_iommufd>(argument).iommufd);
            case IommufdRequests.VFIO_DEVICE_ATTACH_IOMMUFD_PT:
                int refused = Note(nameof(IommufdRequests.VFIO_DEVICE_ATTACH_IOMMUFD_PT));
                _attached = refused == 0 && _bound is not null && As<vfio_device_attach_iommufd_pt>(argument).pt_id == FakeIommufd.Space;
                return refused != 0 ? refused : _attached ? 0 : -Errno.EINVAL;
            default:
                return -Errno.ENOTTY;
        }
    }

    protected override void Close()
    {
        foreach (FakeVfioInterrupt? interrupt in device.Interrupts)
        {
            interrupt?.Triggers = null;
        }
    }

    private (PciRegionIndex Index, FakeVfioRegion Region, ulong Offset) Find(ulong offset)
    {
        int index = (int)(offset >> RegionShift);
        return ((PciRegionIndex)index, device.Regions.ElementAtOrDefault(index) ?? _nowhere, offset & ((1ul << RegionShift) - 1));
    }

    private int GetRegion(uint index, Span<byte> argument)
    {
        FakeVfioRegion region = device.Regions[index];
        int at = sizeof(vfio_region_info);
        int sparse = region.Areas is null
            ? 0
            : sizeof(vfio_region_info_cap_sparse_mmap) + (region.Areas.Count * sizeof(vfio_region_sparse_mmap_area));
        bool hasCapabilities = sparse > 0 || region.MsixMappable;
        byte[] full = new byte[at + sparse + (region.MsixMappable ? sizeof(vfio_info_cap_header) : 0)];
        As<vfio_region_info>(full) = new()
        {
            flags = region.Size == 0 ? 0 : region.Flags | (hasCapabilities ? 8u : 0),
            index = index,
            cap_offset = hasCapabilities ? (uint)at : 0,
            size = region.Size,
            offset = (ulong)index << RegionShift,
        };
        if (region.MsixMappable)
        {
            As<vfio_info_cap_header>(full.AsSpan(at)) = new()
            {
                id = 3,
                version = 1,
                next = sparse > 0 ? (uint)(at + sizeof(vfio_info_cap_header)) : 0,
            };
            at += sizeof(vfio_info_cap_header);
        }

        if (region.Areas is { } areas)
        {
            As<vfio_region_info_cap_sparse_mmap>(full.AsSpan(at)) = new() { header = new() { id = 1, version = 1 }, nr_areas = (uint)areas.Count };
            at += sizeof(vfio_region_info_cap_sparse_mmap);
            foreach (RegionArea area in areas)
            {
                As<vfio_region_sparse_mmap_area>(full.AsSpan(at)) = new() { offset = area.Offset, size = area.Length };
                at += sizeof(vfio_region_sparse_mmap_area);
            }
        }

        Kernel.Falsify?.Invoke(VfioRequests.VFIO_DEVICE_GET_REGION_INFO, index, full);
        return Answer(argument, full, sizeof(vfio_region_info), 12);
    }

    private int GetInterrupt(uint index, Span<byte> argument)
    {
        if (device.Interrupts[index] is not { } interrupt)
        {
            return -Errno.EINVAL;
        }

        byte[] full = new byte[sizeof(vfio_irq_info)];
        As<vfio_irq_info>(full) = new() { flags = interrupt.Flags, index = index, count = interrupt.Count };
        Kernel.Falsify?.Invoke(VfioRequests.VFIO_DEVICE_GET_IRQ_INFO, index, full);
        return Answer(argument, full, full.Length, 12);
    }

    private int SetInterrupts(vfio_irq_set set, Span<int> descriptors)
    {
        string action = (set.flags & VfioConstants.VFIO_IRQ_SET_ACTION_MASK) != 0 ? "mask"
            : (set.flags & VfioConstants.VFIO_IRQ_SET_ACTION_UNMASK) != 0 ? "unmask"
            : "trigger";
        bool hasEvents = (set.flags & VfioConstants.VFIO_IRQ_SET_DATA_EVENTFD) != 0;
        string line = FormattableString.Invariant($"{(PciInterruptIndex)set.index} {action} {set.start}+{set.count}{(hasEvents ? " events" : "")}");
        if (Note(nameof(VfioRequests.VFIO_DEVICE_SET_IRQS), line) is < 0 and var refused)
        {
            return refused;
        }

        if (device.Interrupts[set.index] is not { } interrupt || (hasEvents && descriptors.Length != set.count))
        {
            return -Errno.EINVAL;
        }

        bool exclusive = set.index <= (uint)PciInterruptIndex.Msix;
        bool another = exclusive && device.Interrupts.Take(3).Any(other => other != interrupt && other?.Triggers is not null);
        if (action != "trigger")
        {
            return SetPin(set.index, interrupt, action == "mask", hasEvents ? descriptors[0] : null);
        }

        if (another)
        {
            return -Errno.EINVAL;
        }

        if (!hasEvents)
        {
            interrupt.Triggers = null;
            device.PinMasked &= set.index != 0;
            return 0;
        }

        return Arm(interrupt, set.start, descriptors);
    }

    private static int Arm(FakeVfioInterrupt interrupt, uint start, Span<int> descriptors)
    {
        uint end = start + (uint)descriptors.Length;
        bool noResize = (interrupt.Flags & VfioConstants.VFIO_IRQ_INFO_NORESIZE) != 0;
        if (end > interrupt.Count || (interrupt.Triggers is { } there && noResize && end > there.Length))
        {
            return -Errno.EINVAL;
        }

        if (interrupt.Triggers is null && interrupt.Available?.Invoke(end) is > 0 and var available)
        {
            return available;
        }

        interrupt.Enabled += interrupt.Triggers is null ? 1 : 0;
        int[] before = interrupt.Triggers ?? [];
        int[] after = [.. Enumerable.Repeat(-1, Math.Max((int)end, before.Length))];
        before.CopyTo(after, 0);
        descriptors.CopyTo(after.AsSpan((int)start));
        interrupt.Triggers = after;
        return 0;
    }

    private int SetPin(uint index, FakeVfioInterrupt interrupt, bool mask, int? descriptor)
    {
        if (index != 0 || interrupt.Triggers is null)
        {
            return -Errno.EINVAL;
        }

        if (descriptor is int unmask)
        {
            device.PinUnmask = unmask;
        }
        else
        {
            device.PinMasked = mask;
        }

        return 0;
    }

    private int GetDependents(Span<byte> argument)
    {
        if (device.Dependents is not { } dependents)
        {
            return -Errno.ENODEV;
        }

        ref vfio_pci_hot_reset_info info = ref As<vfio_pci_hot_reset_info>(argument[..sizeof(vfio_pci_hot_reset_info)]);
        int room = (argument.Length - sizeof(vfio_pci_hot_reset_info)) / sizeof(vfio_pci_dependent_device);
        bool owned = dependents.All(dependent => dependent.Group != IommufdRequests.VFIO_PCI_DEVID_NOT_OWNED);
        info.flags = isOpenedByItself ? owned ? 3u : 1 : 0;
        info.count = (uint)dependents.Count;
        if (room < dependents.Count)
        {
            return -Errno.ENOSPC;
        }

        Span<vfio_pci_dependent_device> devices = MemoryMarshal.Cast<byte, vfio_pci_dependent_device>(argument[sizeof(vfio_pci_hot_reset_info)..]);
        for (int i = 0; i < dependents.Count; i++)
        {
            devices[i] = new() { group_id = dependents[i].Group, bus = dependents[i].Bus, devfn = dependents[i].Devfn };
        }

        return 0;
    }

    private int HotReset(Span<byte> argument)
    {
        int[] groups = MemoryMarshal.Cast<byte, int>(argument[sizeof(vfio_pci_hot_reset)..]).ToArray();
        if (groups.Length != As<vfio_pci_hot_reset>(argument[..sizeof(vfio_pci_hot_reset)]).count)
        {
            return -Errno.EINVAL;
        }

        bool proved = isOpenedByItself
            ? groups.Length == 0
            : device.Dependents!.All(
                dependent => groups.Any(
                    number => Kernel.Files.TryGetValue(number, out FakeVfioFile? file)
                        && file is FakeVfioGroup group
                        && group.Group == dependent.Group));
        if (!proved)
        {
            return -Errno.EPERM;
        }

        device.HotResets++;
        return 0;
    }

    private int Bind(int iommufd)
    {
        if (_bound is not null || !Kernel.Files.TryGetValue(iommufd, out FakeVfioFile? file) || file is not FakeIommufd context)
        {
            return -Errno.EINVAL;
        }

        _bound = context;
        return 0;
    }
}
