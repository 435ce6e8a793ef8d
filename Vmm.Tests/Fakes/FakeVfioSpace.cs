using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Vmm.Vfio.Interop;

namespace Vmm.Tests.Fakes;

/// <summary>The I/O address space of a container or an iommufd.</summary>
internal abstract class FakeVfioSpace(FakeVfioKernel kernel, string path) : FakeVfioFile(kernel, path)
{
    /// <summary>What is mapped: by IOVA, length, host address and whether devices may write.</summary>
    public SortedDictionary<ulong, (ulong Length, ulong Host, bool Writable)> Mappings { get; } = [];

    /// <summary>Copies memory as a device of this space would read it; false if any byte is not mapped.</summary>
    public unsafe bool TryRead(ulong iova, Span<byte> destination, bool write = false)
    {
        for (int i = 0; i < destination.Length; i++)
        {
            ulong at = iova + (ulong)i;
            var (start, mapping) = Mappings.FirstOrDefault(m => at >= m.Key && at - m.Key < m.Value.Length);
            if (mapping.Length == 0 || (write && !mapping.Writable))
            {
                return false;
            }

            byte* host = (byte*)(mapping.Host + (at - start));
            if (write)
            {
                *host = destination[i];
            }
            else
            {
                destination[i] = *host;
            }
        }

        return true;
    }

    protected int Map(string step, ulong iova, ulong length, ulong host, bool writable)
    {
        int refused = Note(step, FormattableString.Invariant($"0x{iova:x}+0x{length:x}{(writable ? "" : " read-only")}"));
        if (refused != 0)
        {
            return refused;
        }

        if (length == 0 || ((iova | length | host) & 0xfff) != 0
            || !Kernel.IovaRanges.Any(range => iova >= range.First && iova + (length - 1) <= range.Last && iova + (length - 1) >= iova))
        {
            return -Libc.EINVAL;
        }

        if (Mappings.Any(m => iova <= m.Key + (m.Value.Length - 1) && m.Key <= iova + (length - 1)))
        {
            return -Libc.EEXIST;
        }

        if (Mappings.Count >= Kernel.MappingLimit)
        {
            return -Libc.ENOSPC;
        }

        if (Kernel.Spaces.SelectMany(space => space.Mappings.Values).Aggregate(length, (sum, m) => sum + m.Length) > Kernel.LockedMemoryLimit)
        {
            return -Libc.ENOMEM;
        }

        Mappings.Add(iova, (length, host, writable));
        return 0;
    }

    protected int Unmap(string step, ulong iova, ulong length, out ulong unmapped)
    {
        unmapped = 0;
        int refused = Note(step, FormattableString.Invariant($"0x{iova:x}+0x{length:x}"));
        if (refused != 0)
        {
            return refused;
        }

        if (Mappings.TryGetValue(iova, out var mapping) && mapping.Length == length)
        {
            Mappings.Remove(iova);
            unmapped = length;
        }

        return 0;
    }
}

/// <summary>/dev/vfio/vfio.</summary>
internal sealed unsafe class FakeVfioContainer(FakeVfioKernel kernel) : FakeVfioSpace(kernel, "/dev/vfio/vfio")
{
    public List<FakeVfioGroup> Groups { get; } = [];

    public bool HasIommu { get; set; }

    protected override int Handle(uint request, nuint value)
    {
        switch (request)
        {
            case VfioRequests.VFIO_GET_API_VERSION:
                return Note(nameof(VfioRequests.VFIO_GET_API_VERSION)) is < 0 and var version ? version : Kernel.ApiVersion;
            case VfioRequests.VFIO_CHECK_EXTENSION:
                return Note(nameof(VfioRequests.VFIO_CHECK_EXTENSION)) is < 0 and var check ? check : Kernel.HasType1 && value == 3 ? 1 : 0;
            case VfioRequests.VFIO_SET_IOMMU:
                if (Note(nameof(VfioRequests.VFIO_SET_IOMMU)) is < 0 and var set)
                {
                    return set;
                }

                HasIommu = Groups.Count > 0 && !HasIommu;
                return HasIommu && value == 3 ? 0 : -Libc.EINVAL;
            default:
                return -Libc.ENOTTY;
        }
    }

    protected override int Handle(uint request, Span<byte> argument)
    {
        switch (HasIommu ? request : 0)
        {
            case VfioRequests.VFIO_IOMMU_GET_INFO:
                return Note(nameof(VfioRequests.VFIO_IOMMU_GET_INFO)) is < 0 and var refused ? refused : GetInfo(argument);
            case VfioRequests.VFIO_IOMMU_MAP_DMA:
                var map = As<vfio_iommu_type1_dma_map>(argument);
                return map.argsz != argument.Length || (map.flags & 1) == 0
                    ? -Libc.EINVAL
                    : Map(nameof(VfioRequests.VFIO_IOMMU_MAP_DMA), map.iova, map.size, map.vaddr, (map.flags & 2) != 0);
            case VfioRequests.VFIO_IOMMU_UNMAP_DMA:
                ref var unmap = ref As<vfio_iommu_type1_dma_unmap>(argument);
                int result = Unmap(nameof(VfioRequests.VFIO_IOMMU_UNMAP_DMA), unmap.iova, unmap.size, out ulong unmapped);
                unmap.size = unmapped;
                return result;
            default:
                return -Libc.EINVAL;
        }
    }

    protected override void Close() => Mappings.Clear();

    private int GetInfo(Span<byte> argument)
    {
        // Two capabilities, the one that is not asked for before the other.
        int availableAt = sizeof(vfio_iommu_type1_info);
        int rangesAt = availableAt + 16;
        byte[] full = new byte[rangesAt + sizeof(vfio_iommu_type1_info_cap_iova_range) + (Kernel.IovaRanges.Count * sizeof(vfio_iova_range))];
        As<vfio_iommu_type1_info>(full) = new() { flags = 3, iova_pgsizes = Kernel.PageSizes, cap_offset = (uint)availableAt };
        As<vfio_iommu_type1_info_dma_avail>(full.AsSpan(availableAt)) = new()
        {
            header = new() { id = 3, version = 1, next = (uint)rangesAt },
            avail = (uint)(Kernel.MappingLimit - Mappings.Count),
        };
        As<vfio_iommu_type1_info_cap_iova_range>(full.AsSpan(rangesAt)) = new()
        {
            header = new() { id = 1, version = 1 },
            nr_iovas = (uint)Kernel.IovaRanges.Count,
        };
        int at = rangesAt + sizeof(vfio_iommu_type1_info_cap_iova_range);
        foreach ((ulong first, ulong last) in Kernel.IovaRanges)
        {
            As<vfio_iova_range>(full.AsSpan(at)) = new() { start = first, end = last };
            at += sizeof(vfio_iova_range);
        }

        Kernel.Falsify?.Invoke(VfioRequests.VFIO_IOMMU_GET_INFO, 0, full);
        return Answer(argument, full, sizeof(vfio_iommu_type1_info), 16);
    }
}

/// <summary>/dev/iommu.</summary>
internal sealed unsafe class FakeIommufd(FakeVfioKernel kernel) : FakeVfioSpace(kernel, "/dev/iommu")
{
    public const uint Space = 7;

    protected override int Handle(uint request, Span<byte> argument)
    {
        switch (request)
        {
            case IommufdRequests.IOMMU_IOAS_ALLOC:
                As<iommu_ioas_alloc>(argument).out_ioas_id = Space;
                return Note(nameof(IommufdRequests.IOMMU_IOAS_ALLOC));
            case IommufdRequests.IOMMU_IOAS_IOVA_RANGES:
                return Note(nameof(IommufdRequests.IOMMU_IOAS_IOVA_RANGES)) is < 0 and var refused ? refused : GetRanges(ref As<iommu_ioas_iova_ranges>(argument));
            case IommufdRequests.IOMMU_IOAS_MAP:
                var map = As<iommu_ioas_map>(argument);
                return map.size != argument.Length || map.ioas_id != Space || (map.flags & 5) != 5
                    ? -Libc.EINVAL
                    : Map(nameof(IommufdRequests.IOMMU_IOAS_MAP), map.iova, map.length, map.user_va, (map.flags & 2) != 0);
            case IommufdRequests.IOMMU_IOAS_UNMAP:
                ref var unmap = ref As<iommu_ioas_unmap>(argument);
                int result = Unmap(nameof(IommufdRequests.IOMMU_IOAS_UNMAP), unmap.iova, unmap.length, out ulong unmapped);
                unmap.length = unmapped;
                return result;
            default:
                return -Libc.ENOTTY;
        }
    }

    protected override void Close() => Mappings.Clear();

    private int GetRanges(ref iommu_ioas_iova_ranges question)
    {
        uint room = question.num_iovas;
        question.num_iovas = (uint)Kernel.IovaRanges.Count;
        question.out_iova_alignment = 0x1000;
        for (int i = 0; i < Math.Min(Kernel.IovaRanges.Count, (int)room); i++)
        {
            ((iommu_iova_range*)question.allowed_iovas)[i] = new() { start = Kernel.IovaRanges[i].First, last = Kernel.IovaRanges[i].Last };
        }

        return room < question.num_iovas ? -Libc.EMSGSIZE : 0;
    }
}

/// <summary>/dev/vfio/NUMBER.</summary>
internal sealed class FakeVfioGroup(FakeVfioKernel kernel, int group) : FakeVfioFile(kernel, $"/dev/vfio/{group}")
{
    public int Group => group;

    public FakeVfioContainer? Container { get; set; }

    protected override int Handle(uint request, nuint value)
    {
        if (request != VfioRequests.VFIO_GROUP_UNSET_CONTAINER)
        {
            return -Libc.ENOTTY;
        }

        if (Note(nameof(VfioRequests.VFIO_GROUP_UNSET_CONTAINER)) is < 0 and var refused)
        {
            return refused;
        }

        if (HasOpenDevice)
        {
            Kernel.Violations.Add($"{Path} leaves its container with a device open");
            return -Libc.EBUSY;
        }

        return Leave();
    }

    protected override int Handle(uint request, Span<byte> argument)
    {
        switch (request)
        {
            case VfioRequests.VFIO_GROUP_GET_STATUS:
                bool viable = Kernel.Devices.Where(device => device.Group == group).All(device => device.Driver is null || device.IsBound);
                As<vfio_group_status>(argument).flags = viable ? 1u : 0;
                return Note(nameof(VfioRequests.VFIO_GROUP_GET_STATUS));
            case VfioRequests.VFIO_GROUP_SET_CONTAINER:
                return Note(nameof(VfioRequests.VFIO_GROUP_SET_CONTAINER)) is < 0 and var refused ? refused : Join(MemoryMarshal.Read<int>(argument));
            case VfioRequests.VFIO_GROUP_GET_DEVICE_FD:
                string name = System.Text.Encoding.ASCII.GetString(argument).TrimEnd('\0');
                return Note(nameof(VfioRequests.VFIO_GROUP_GET_DEVICE_FD), name) is < 0 and var no ? no : OpenDevice(name, argument[^1]);
            default:
                return -Libc.ENOTTY;
        }
    }

    protected override void Close()
    {
        if (HasOpenDevice)
        {
            Kernel.Violations.Add($"{Path} closes with a device open");
        }

        _ = Leave();
    }

    private bool HasOpenDevice => Kernel.Files.Values.OfType<FakeVfioDeviceFile>().Any(file => file.Device.Group == group && !file.IsOpenedByItself);

    private int Join(int number)
    {
        if (Container is not null || !Kernel.Files.TryGetValue(number, out FakeVfioFile? file) || file is not FakeVfioContainer container)
        {
            return -Libc.EINVAL;
        }

        if (container.Groups.Count > 0 && !Kernel.CanMerge(group))
        {
            return -Libc.EINVAL;
        }

        Container = container;
        container.Groups.Add(this);
        return 0;
    }

    private int Leave()
    {
        if (Container is not { } container)
        {
            return -Libc.EINVAL;
        }

        Container = null;
        container.Groups.Remove(this);
        if (container.Groups.Count == 0)
        {
            container.HasIommu = false;
            container.Mappings.Clear();
        }

        return 0;
    }

    private int OpenDevice(string name, byte last)
    {
        FakeVfioDevice? device = Kernel.Devices.FirstOrDefault(device => device.Address == name && device.Group == group);
        return Container is not { HasIommu: true } || last != 0 ? -Libc.EINVAL
            : device is null ? -Libc.ENODEV
            : new FakeVfioDeviceFile(Kernel, name, device, isOpenedByItself: false).Number;
    }
}
