using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Vfio.Backend;
using Vmm.Vfio.Interop;

namespace Vmm.Vfio.Kernel;

/// <summary>
/// The host's devices for one machine: they share groups and, where the IOMMU lets them, one I/O address space. Holds nothing while no device is
/// attached.
/// </summary>
/// <remarks>
/// Thread-safe: one lock over what is open, held while the kernel attaches or detaches a device. Lock order: this one, then the guest memory's
/// lock of changes, then that of an I/O address space. Not from inside the guest memory's domain.
/// </remarks>
public sealed class VfioHost
{
    private readonly IVfioCalls _calls;
    private readonly GuestMemory? _memory;
    private readonly IHostDeviceFiles? _hypervisor;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly List<DmaAddressSpace> _spaces = [];
    private readonly Dictionary<int, VfioGroup> _groups = [];

    // Replaced whole under the lock: a reset reads them without it, and so never waits for an attach.
    private volatile string[] _attached = [];
    private volatile Dictionary<int, int> _openGroups = [];

    /// <summary>Opens nothing yet.</summary>
    /// <param name="memory">
    /// Guest RAM that every device reaches at its guest-physical addresses; without it, devices reach what is mapped for them.
    /// </param>
    /// <param name="hypervisor">Is told of the devices of a machine; null where no guest runs.</param>
    /// <param name="loggerFactory">Where to log; nothing is logged without it.</param>
    public VfioHost(GuestMemory? memory = null, IHostDeviceFiles? hypervisor = null, ILoggerFactory? loggerFactory = null)
        : this(VfioCalls.Instance, memory, hypervisor, loggerFactory)
    {
    }

    internal VfioHost(IVfioCalls calls, GuestMemory? memory = null, IHostDeviceFiles? hypervisor = null, ILoggerFactory? loggerFactory = null)
    {
        (_calls, _memory, _hypervisor, _loggers) = (calls, memory, hypervisor, loggerFactory ?? NullLoggerFactory.Instance);
        _logger = GuardedLogger.Create<VfioHost>(loggerFactory);
    }

    /// <summary>I/O address spaces that are open: one, unless devices do not go together.</summary>
    public int AddressSpaces
    {
        get
        {
            lock (_lock)
            {
                return _spaces.Count;
            }
        }
    }

    /// <summary>Takes a device: reset by the kernel as it opens it, if it can be, with interrupts disabled and guest memory mapped.</summary>
    /// <param name="path">Its directory in sysfs, for example <c>/sys/bus/pci/devices/0000:00:10.0</c>.</param>
    /// <param name="useIommufd">
    /// Opens the device by itself and puts it into an iommufd (Linux 6.6), instead of through its group and a container. Devices of the two ways
    /// share no I/O address space, and an iommufd maps no BARs for other devices.
    /// </param>
    /// <returns>The device; its disposal gives it back.</returns>
    /// <exception cref="VfioException">
    /// A step was refused; the message names step, path and errno, and what helps. All earlier steps are undone.
    /// </exception>
    public VfioPciDevice Attach(string path, bool useIommufd = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        lock (_lock)
        {
            var location = PciDeviceLocation.Find(_calls, path);

            // Through its group the kernel would open it again.
            if (_attached.Contains(location.Name))
            {
                throw new VfioException("attaching", path, Errno.EBUSY, "in use: this machine has the device already");
            }

            VfioAttachment attachment = useIommufd ? AttachByItself(location) : AttachByGroup(location);
            try
            {
                var device = new VfioPciDevice(this, attachment);
                _attached = [.. _attached, location.Name];
                return device;
            }
            catch
            {
                ReleaseLocked(attachment);
                throw;
            }
        }
    }

    /// <summary>Groups that are open, with their descriptors. Takes no lock.</summary>
    internal IReadOnlyDictionary<int, int> OpenGroups => _openGroups;

    /// <summary>Names of the devices that are attached. Takes no lock.</summary>
    internal IReadOnlyList<string> Attached => _attached;

    /// <summary>Closes a device, and its group and its I/O address space with the last.</summary>
    internal void Release(VfioAttachment attachment)
    {
        lock (_lock)
        {
            ReleaseLocked(attachment);
        }
    }

    private VfioAttachment AttachByItself(PciDeviceLocation location)
    {
        if (location.Node is not { } node)
        {
            throw new VfioException(
                "iommufd=on", location.Path, 0,
                "the kernel has no node of its own for the device in /dev/vfio/devices: that takes Linux 6.6 and CONFIG_VFIO_DEVICE_CDEV, "
                    + "and a container has to see the node; without iommufd=on the device goes through its group");
        }

        // A device that was bound to one context can only be bound to another after it was closed.
        IKernelFile? file = null;
        IDisposable? registration = null;
        void Close()
        {
            registration?.Dispose();
            file?.Dispose();
            (registration, file) = (null, null);
        }

        DmaAddressSpace space = Join<IommufdContext>(
            location.Name,
            context =>
            {
                file ??= _calls.Open(node, out int errno) ?? throw RefuseNode(node, errno);
                try
                {
                    registration ??= Register(file, node);
                    context.Add(file, node);
                }
                catch
                {
                    Close();
                    throw;
                }
            },
            IommufdContext.Open,
            Close);
        return new VfioAttachment(location, file!, space, null, registration);
    }

    private VfioAttachment AttachByGroup(PciDeviceLocation location)
    {
        if (!_groups.TryGetValue(location.Group, out VfioGroup? group))
        {
            group = VfioGroup.Open(_calls, location.Group, location.Node is null ? "" : "; or open the device by itself (iommufd=on)");
            _groups.Add(location.Group, group);
            PublishGroups();
        }

        try
        {
            if (group.Container is { } container)
            {
                container.Users++;
            }
            else
            {
                group.Container = Join<VfioContainer>(location.Name, space => space.Add(group), VfioContainer.Open);
            }

            group.Users++;
        }
        catch
        {
            CloseIfUnused(group);
            throw;
        }

        try
        {
            // What the hypervisor learns from a group it learns once that is in a container; a device is given to the machine as it is opened.
            group.Registration ??= Register(group.File, group.Path);
            IKernelFile file = group.OpenDevice(_calls, location.Name, out int result)
                ?? throw Refusal.Of(nameof(VfioRequests.VFIO_GROUP_GET_DEVICE_FD), location.Path, result, VfioGroup.ExplainDevice(-result));
            return new VfioAttachment(location, file, group.Container, group);
        }
        catch
        {
            Leave(group, group.Container);
            throw;
        }
    }

    /// <summary>Tells the hypervisor of a group or a device.</summary>
    /// <exception cref="VfioException">The hypervisor refuses.</exception>
    private IDisposable? Register(IKernelFile file, string path)
    {
        try
        {
            return _hypervisor?.Add(file.Number);
        }
        catch (HostException e)
        {
            throw new VfioException(e.Step, path, e.Errno, "the hypervisor does not take the device");
        }
    }

    /// <summary>
    /// Adds a device or its group to the first address space that takes it, else to a new one, in which guest memory is then mapped.
    /// </summary>
    private T Join<T>(string name, Action<T> add, Func<IVfioCalls, T> open, Action? leave = null)
        where T : DmaAddressSpace
    {
        string? reason = null;
        foreach (T there in _spaces.OfType<T>())
        {
            try
            {
                add(there);
                there.Users++;
                return there;
            }
            catch (VfioException e)
            {
                reason = e.Message;
            }
        }

        T? space = null;
        try
        {
            space = open(_calls);
            add(space);
            space.GuestMemoryMapping = _memory?.AddListener(new GuestMemoryDma(space, _loggers));
        }
        catch
        {
            leave?.Invoke();
            space?.Dispose();
            throw;
        }

        if (reason is not null)
        {
            BackendLog.NotMerged(_logger, name, reason);
        }

        space.Users = 1;
        _spaces.Add(space);
        return space;
    }

    private static VfioException RefuseNode(string node, int errno)
    {
        return Refusal.Open(node, errno, $"there is no such node: make it visible here (a container needs --device {node})");
    }

    private void ReleaseLocked(VfioAttachment attachment)
    {
        // The hypervisor holds a device's file as long as it knows of it; a group it lets go after its devices.
        attachment.Registration?.Dispose();
        attachment.File.Dispose();
        _attached = [.. _attached.Where(name => name != attachment.Location.Name)];
        Leave(attachment.Group, attachment.Space);
    }

    /// <summary>The reverse of joining, in the reverse order; the device is closed, so nothing reaches memory any more.</summary>
    private void Leave(VfioGroup? group, DmaAddressSpace space)
    {
        space.Users--;
        if (space.Users == 0)
        {
            space.GuestMemoryMapping?.Dispose();
            _spaces.Remove(space);
        }

        if (group is not null)
        {
            group.Users--;
            CloseIfUnused(group);
        }

        if (space.Users == 0)
        {
            space.Dispose();
        }
    }

    private void CloseIfUnused(VfioGroup group)
    {
        if (group.Users == 0)
        {
            group.Registration?.Dispose();
            if (group.Container is not null)
            {
                VfioContainer.Remove(group);
            }

            _groups.Remove(group.Number);
            PublishGroups();
            group.Dispose();
        }
    }

    private void PublishGroups() => _openGroups = _groups.ToDictionary(group => group.Key, group => group.Value.File.Number);
}
