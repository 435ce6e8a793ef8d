using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Vfio.Interop;

namespace Vmm.Vfio.Kernel;

/// <summary>The I/O address space of one container or iommufd context: what is mapped where, and the reasons for a refusal.</summary>
/// <remarks>Thread-safe: one lock over the table of mappings and the kernel's call. Nothing is called out under it.</remarks>
internal abstract unsafe class DmaAddressSpace(IVfioCalls calls, IKernelFile file, string path) : IDmaMapper, IDisposable
{
    private readonly Lock _lock = new();
    private readonly SortedList<ulong, ulong> _mappings = [];
    private volatile GuestRange[] _ranges = [];
    private ulong _granularity = (ulong)Environment.SystemPageSize;
    private ulong _locked;
    private bool _disposed;

    public IReadOnlyList<GuestRange> ValidRanges => _ranges;

    public ulong Granularity => Volatile.Read(ref _granularity);

    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _mappings.Count;
            }
        }
    }

    public abstract bool CanMapDevices { get; }

    /// <summary>The node that it was opened by, for messages.</summary>
    public string Path => path;

    /// <summary>Devices attached to it; the owner counts.</summary>
    public int Users { get; set; }

    /// <summary>Ends the mapping of guest memory, of an owner that maps it.</summary>
    public IDisposable? GuestMemoryMapping { get; set; }

    /// <summary>The open container or context.</summary>
    protected IKernelFile File => file;

    protected abstract string MapStep { get; }

    protected abstract string UnmapStep { get; }

    public void Map(ulong iova, HostMemory memory, ulong offset, ulong length, bool writable = true)
    {
        ArgumentNullException.ThrowIfNull(memory);
        byte* host = memory.Pointer + offset;
        if (length == 0 || !GuestRange.Fits(offset, length, memory.Length) || !GuestRange.TryCreate(iova, length, out _))
        {
            throw new ArgumentException(
                $"0x{length:x} bytes at offset 0x{offset:x} for IOVA 0x{iova:x} are not a part of 0x{memory.Length:x} bytes of memory");
        }

        if (((iova | length | (ulong)host) & (Granularity - 1)) != 0)
        {
            throw new ArgumentException(
                $"0x{length:x} bytes at IOVA 0x{iova:x} from host 0x{(ulong)host:x} are not whole pages of 0x{Granularity:x} bytes");
        }

        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            RequireFree(iova, length);
            int result = MapCore(iova, (nuint)host, length, writable);
            if (result == -Errno.ENOSPC)
            {
                throw new DmaMappingLimitException(MapStep, path, Errno.ENOSPC, _mappings.Count, ExplainLimit());
            }

            if (result < 0)
            {
                throw Refusal.Of(MapStep, path, result, $"cannot map 0x{length:x} bytes at IOVA 0x{iova:x}: {Explain(-result, length)}");
            }

            _mappings.Add(iova, length);
            _locked += length;
        }
    }

    public void Unmap(ulong iova, ulong length)
    {
        lock (_lock)
        {
            if (!_mappings.TryGetValue(iova, out ulong mapped) || mapped != length)
            {
                throw new VfioException(UnmapStep, path, 0, $"no mapping has 0x{length:x} bytes at IOVA 0x{iova:x}");
            }

            int result = UnmapCore(iova, length, out ulong unmapped);
            if (result < 0 || unmapped != length)
            {
                throw Refusal.Of(
                    UnmapStep, path, Math.Min(result, 0), $"0x{unmapped:x} instead of 0x{length:x} bytes at IOVA 0x{iova:x} were unmapped");
            }

            _mappings.Remove(iova);
            _locked -= length;
        }
    }

    /// <summary>Closes the container or context, and all mappings with it.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            _mappings.Clear();
            file.Dispose();
        }
    }

    /// <summary>Maps.</summary>
    /// <returns>0, or the negated errno.</returns>
    protected abstract int MapCore(ulong iova, nuint host, ulong length, bool writable);

    /// <summary>Unmaps.</summary>
    /// <returns>0, or the negated errno.</returns>
    protected abstract int UnmapCore(ulong iova, ulong length, out ulong unmapped);

    /// <summary>What the kernel's limit of mappings is called, and how it is raised.</summary>
    protected abstract string ExplainLimit();

    /// <summary>Takes over what the kernel says of the addresses that can be mapped.</summary>
    protected void SetLimits(GuestRange[] ranges, ulong granularity)
    {
        Volatile.Write(ref _granularity, granularity);
        _ranges = [.. ranges.OrderBy(range => range.Address)];
    }

    private void RequireFree(ulong iova, ulong length)
    {
        if (!_ranges.Any(range => iova >= range.Address && GuestRange.Fits(iova - range.Address, length, range.Length)))
        {
            string ranges = string.Join(", ", _ranges.Select(range => $"0x{range.Address:x} to 0x{range.Address + range.Length - 1:x}"));
            throw new VfioException(
                MapStep, path, 0, $"0x{length:x} bytes at IOVA 0x{iova:x} lie outside what the IOMMU can map for these devices: {ranges}");
        }

        // The last mapping that starts at or before the end of the new one is the only one that can reach into it.
        int low = 0;
        for (int high = _mappings.Count; low < high;)
        {
            int middle = (low + high) / 2;
            (low, high) = _mappings.GetKeyAtIndex(middle) <= iova + (length - 1) ? (middle + 1, high) : (low, middle);
        }

        if (low > 0 && _mappings.GetKeyAtIndex(low - 1) is var start && start + (_mappings.GetValueAtIndex(low - 1) - 1) >= iova)
        {
            throw new VfioException(
                MapStep, path, 0,
                $"0x{length:x} bytes at IOVA 0x{iova:x} overlap the mapping of 0x{_mappings.GetValueAtIndex(low - 1):x} bytes at 0x{start:x}");
        }
    }

    private string Explain(int errno, ulong length)
    {
        switch (errno)
        {
            case Errno.ENOMEM:
                ulong limit = calls.LockedMemoryLimit;
                ulong needed = _locked + length;
                return limit < needed
                    ? $"{_locked >> 10} KiB are locked and {length >> 10} KiB more are wanted, the limit of locked memory is {limit >> 10} KiB: "
                        + $"raise it to more than {needed >> 10} (ulimit -l KIB, LimitMEMLOCK= of a systemd unit), or run as root"
                    : $"the host is out of memory, or locks more than ulimit -l of {limit >> 10} KiB for this user in all";
            case Errno.EFAULT:
                return "the host memory is not there, or not writable";
            case Errno.EEXIST:
                return "something is mapped there already";
            case Errno.EINVAL:
                return "the IOMMU cannot map these addresses";
            default:
                return "refused";
        }
    }
}
