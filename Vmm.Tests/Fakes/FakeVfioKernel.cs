using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Vmm.DeviceModel.Interop;
using Vmm.Vfio.Interop;

namespace Vmm.Tests.Fakes;

/// <summary>A kernel with VFIO that writes down what it is asked, refuses what it is told to refuse, and keeps count of all it gave.</summary>
/// <remarks>
/// Nodes and sysfs follow from the devices: <see cref="AddDevice"/>. A step is refused by its line in <see cref="Log"/>, see <see cref="Refuse"/>.
/// What the real kernel would not stand for (a group closed under an open device) is a <see cref="Violations">violation</see>.
/// </remarks>
internal sealed class FakeVfioKernel : IVfioCalls
{
    private readonly object _lock = new();
    private readonly List<string> _log = [];
    private int _nextNumber = 1000;

    /// <summary>What was asked, one line each: <c>open PATH</c>, <c>REQUEST PATH [...]</c>, <c>close PATH</c>.</summary>
    public IReadOnlyList<string> Log
    {
        get
        {
            lock (_lock)
            {
                return [.. _log];
            }
        }
    }

    /// <summary>Decides by the line: 0, or an errno to refuse with.</summary>
    public Func<string, int> Refuse { get; set; } = _ => 0;

    /// <summary>What callers did that leaves the real kernel in disorder.</summary>
    public List<string> Violations { get; } = [];

    public List<FakeVfioDevice> Devices { get; } = [];

    /// <summary>Files that are open, by descriptor.</summary>
    public Dictionary<int, FakeVfioFile> Files { get; } = [];

    /// <summary>The kernel has iommufd and a node for each device.</summary>
    public bool HasIommufd { get; set; }

    /// <summary>The nodes of groups are visible.</summary>
    public bool HasGroupNodes { get; set; } = true;

    public ulong LockedMemoryLimit { get; set; } = ulong.MaxValue;

    public int ApiVersion { get; set; }

    public bool HasType1 { get; set; } = true;

    /// <summary>What every new container can map: first and last address.</summary>
    public List<(ulong First, ulong Last)> IovaRanges { get; set; } = [(0, 0xfedf_ffff), (0xfef0_0000, 0x7f_ffff_ffff)];

    public ulong PageSizes { get; set; } = 0xffff_ffff_ffff_f000;

    /// <summary>Mappings that one container can hold.</summary>
    public int MappingLimit { get; set; } = 65535;

    /// <summary>Whether a container that has groups takes one more.</summary>
    public Func<int, bool> CanMerge { get; set; } = _ => true;

    /// <summary>Falsifies answers: request, index of region or interrupt, the answer in full.</summary>
    public Action<uint, uint, byte[]>? Falsify { get; set; }

    public IEnumerable<FakeVfioSpace> Spaces => Files.Values.OfType<FakeVfioSpace>();

    /// <summary>Mappings of all containers.</summary>
    public int Mappings => Spaces.Sum(space => space.Mappings.Count);

    /// <summary>Adds a device of a group, bound to vfio-pci unless told otherwise.</summary>
    public FakeVfioDevice AddDevice(string address, int group, string? driver = "vfio-pci")
    {
        var device = new FakeVfioDevice(this, address, group) { Driver = driver, Number = Devices.Count };
        Devices.Add(device);
        return device;
    }

    /// <summary>How many lines start so.</summary>
    public int CountOf(string prefix) => Log.Count(line => line.StartsWith(prefix, StringComparison.Ordinal));

    public IKernelFile? Open(string path, out int errno)
    {
        errno = Note($"open {path}");
        if (errno != 0)
        {
            return null;
        }

        if (path == "/dev/vfio/vfio")
        {
            return new FakeVfioContainer(this);
        }

        if (path == "/dev/iommu" && HasIommufd)
        {
            return new FakeIommufd(this);
        }

        if (Devices.FirstOrDefault(device => HasIommufd && path == $"/dev/vfio/devices/vfio{device.Number}") is { } own)
        {
            return new FakeVfioDeviceFile(this, path, own, isOpenedByItself: true);
        }

        if (path.StartsWith("/dev/vfio/", StringComparison.Ordinal) && int.TryParse(path[10..], CultureInfo.InvariantCulture, out int number)
            && Devices.Any(device => device.Group == number))
        {
            if (Files.Values.OfType<FakeVfioGroup>().Any(group => group.Group == number))
            {
                errno = Errno.EBUSY;
                return null;
            }

            return new FakeVfioGroup(this, number);
        }

        errno = Errno.ENOENT;
        return null;
    }

    public IKernelFile Adopt(int descriptor) => Files[descriptor];

    public bool Exists(string path)
    {
        return Devices.Any(
            device => path == device.Path
                || (HasGroupNodes && path == $"/dev/vfio/{device.Group}")
                || (HasIommufd && path == $"/dev/vfio/devices/vfio{device.Number}"))
            || path == "/dev/vfio/vfio" || (HasIommufd && path == "/dev/iommu");
    }

    public string? ReadLinkName(string path)
    {
        foreach (FakeVfioDevice device in Devices)
        {
            if (path == device.Path)
            {
                return device.Address;
            }

            if (path.StartsWith(device.Path + "/", StringComparison.Ordinal)
                || path.StartsWith($"{device.GroupFolder}/{device.Address}/", StringComparison.Ordinal))
            {
                return path[(path.LastIndexOf('/') + 1)..] switch
                {
                    "subsystem" => device.Subsystem,
                    "iommu_group" => device.HasIommu ? device.Group.ToString(CultureInfo.InvariantCulture) : null,
                    "driver" => device.Driver,
                    "physfn" => device.VirtualOf,
                    _ => null,
                };
            }
        }

        return null;
    }

    public string? ReadText(string path)
    {
        FakeVfioDevice? device = Devices.FirstOrDefault(device => path.StartsWith(device.Path + "/", StringComparison.Ordinal));
        return device is null ? null
            : path.EndsWith("/vendor", StringComparison.Ordinal) ? FormattableString.Invariant($"0x{device.Ids.Vendor:x4}")
            : path.EndsWith("/device", StringComparison.Ordinal) ? FormattableString.Invariant($"0x{device.Ids.Device:x4}")
            : null;
    }

    public IReadOnlyList<string> List(string path)
    {
        foreach (FakeVfioDevice device in Devices)
        {
            if (path == device.GroupFolder)
            {
                return [.. Devices.Where(other => other.Group == device.Group).Select(other => other.Address).Order(StringComparer.Ordinal)];
            }

            if (path == $"{device.Path}/vfio-dev" && device.IsBound)
            {
                return [$"vfio{device.Number}"];
            }
        }

        return [];
    }

    /// <summary>Writes a step down.</summary>
    /// <returns>The errno to refuse it with, or 0.</returns>
    internal int Note(string line)
    {
        lock (_lock)
        {
            _log.Add(line);
        }

        return Refuse(line);
    }

    internal int Number(FakeVfioFile file)
    {
        Files.Add(_nextNumber, file);
        return _nextNumber++;
    }
}
