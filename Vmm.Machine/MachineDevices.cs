using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Memory;
using Vmm.Kvm;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Devices;
using Vmm.Machine.Events;
using Vmm.Machine.Host;
using Vmm.Machine.Layout;
using Vmm.Pci;
using Vmm.Pci.Bridges;
using Vmm.Pci.Host;
using Vmm.Pci.Interrupts;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Machine;

/// <summary>The PCI host bridge and the devices behind it.</summary>
/// <remarks>
/// Devices come and go from any thread, but not from inside a guest's access. The lock is over the list of devices; nothing is called under it.
/// Whoever takes a device out of the list disposes it.
/// </remarks>
internal sealed class MachineDevices : IDisposable
{
    // The inputs of the I/O APIC that the pins on bus 0 leave free.
    private const int FirstPortGsi = 20;

    private readonly Lock _lock = new();
    private readonly MachineOptions _options;
    private readonly GuestMemory _memory;
    private readonly IHypervisor? _hypervisor;
    private readonly Action<VmStopReason> _stop;
    private readonly ILogger _logger;
    private readonly PciHostBridge _bridge;
    private readonly List<MachineDevice> _devices = [];
    private readonly List<Task> _removals = [];
    private readonly DeviceIds _ids = new();
    private readonly SharedParts _shared = new();
    private bool _ending;

    /// <summary>Makes the bridge and the devices and gives them addresses.</summary>
    /// <param name="options">Which devices.</param>
    /// <param name="layout">Windows and configuration space.</param>
    /// <param name="spaces">Where they decode.</param>
    /// <param name="memory">What they master.</param>
    /// <param name="hypervisor">Interrupts; null for a machine that does not run.</param>
    /// <param name="stop">
    /// Called when the guest resets the machine through the bridge's ports, on a vCPU thread, or when a device ends the machine, on one of its own.
    /// </param>
    /// <param name="logger">The machine's.</param>
    /// <exception cref="MachineException">A back-end cannot be opened, or two devices have one id.</exception>
    public MachineDevices(
        MachineOptions options,
        MemoryLayout layout,
        (AddressSpace Memory, AddressSpace Ports) spaces,
        GuestMemory memory,
        IHypervisor? hypervisor,
        Action<VmStopReason> stop,
        ILogger logger)
    {
        (_options, _memory, _hypervisor, _stop, _logger) = (options, memory, hypervisor, stop, logger);
        MachineSlots.Check(options.RootPorts);
        if (options.Devices.Count + options.RootPorts.Count > MachineLimits.Slots)
        {
            throw new MachineException(MachineException.Whole, null, $"more than {MachineLimits.Slots} devices and root ports do not fit on the bus");
        }

        IReadOnlyList<DeviceOptions> devices =
            _ids.TakeAll(options.RootPorts.Select(static port => port.Name), options.Catalogue, options.Devices);
        _bridge = new PciHostBridge(new PciHostBridgeOptions
        {
            Memory = spaces.Memory,
            Ports = spaces.Ports,
            Windows = layout.CreatePciWindows(),
            MsiSink = hypervisor?.Msi,
            IrqRouting = hypervisor?.IrqRouting,
            InterruptLines = hypervisor?.InterruptLines,
            PortInterruptRouting = new PciInterruptRouting(FirstPortGsi),
            EcamBase = MemoryLayout.EcamStart,
            BusCount = MemoryLayout.EcamBuses,
            LoggerFactory = options.LoggerFactory,
        });
        try
        {
            _bridge.ClaimConfigurationAccess();
            ResetControl = new ResetControl(_bridge.ConfigurationPorts);
            ResetControl.ResetRequested += () => stop(VmStopReason.Reset);
            spaces.Ports.Add(
                new HandlerClaim("pci configuration ports, reset", 8, ResetControl, ClaimPriority.Platform + 1) { Device = "pci" },
                PciHostBridge.ConfigurationPortBase);
            foreach ((int index, DeviceOptions device) in devices.Index())
            {
                // Slot 0 is the bridge's.
                Add(device, index + 1);
            }

            Slots = new MachineSlots(options.RootPorts, _bridge.Root, devices.Count + 1, _logger);
            _bridge.Root.AssignResources();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The bridge that the devices are behind.</summary>
    public PciHostBridge HostBridge => _bridge;

    /// <summary>The reset register among the bridge's ports.</summary>
    public ResetControl ResetControl { get; }

    /// <summary>The devices that are there now: those that the machine started with in the order of their slots, then those that were added.</summary>
    public IReadOnlyList<MachineDevice> Devices
    {
        get
        {
            lock (_lock)
            {
                return _devices.ToArray();
            }
        }
    }

    /// <summary>The devices in slots that nobody has asked back.</summary>
    public IReadOnlyList<MachineDevice> Plugged
    {
        get
        {
            IReadOnlySet<PciFunction> functions = Slots.Kept;
            return [.. Devices.Where(device => functions.Contains(device.Function))];
        }
    }

    /// <summary>The root ports, and what is in their slots.</summary>
    public MachineSlots Slots { get; }

    /// <summary>Completes when the disks that were there at the end have let go of their files, which may take longer than their disposal.</summary>
    public Task Closed { get; private set; } = Task.CompletedTask;

    /// <summary>Guest memory as a function of this machine reaches it; one for each function.</summary>
    public DmaTarget CreateDmaTarget() => new(_memory);

    /// <summary>Makes a device, puts it into the slot of a root port and tells the guest.</summary>
    /// <param name="options">The device.</param>
    /// <param name="port">Name of the port, or null for the first that is free.</param>
    /// <returns>Its id.</returns>
    public string HotAdd(DeviceOptions options, string? port)
    {
        Slots.ThrowIfClosed();
        DeviceKind kind = _options.Catalogue.KindOf(options);
        string id = _ids.Take(kind, options);
        MachineDevice? device = null;
        try
        {
            device = Make(kind, options with { Id = id });
            MachineDevice made = device;
            string place = Slots.Add(port, device.Function, () => OnReleased(made));
            _logger.DeviceAdded(id, place);
            return id;
        }
        catch
        {
            if (device is null)
            {
                _ids.Release(id);
            }
            else if (Forget(device))
            {
                device.Function.Dispose();
            }

            throw;
        }
    }

    /// <summary>Takes a device out of its root port's slot.</summary>
    /// <param name="id">The device.</param>
    /// <param name="removal">Whether the guest is asked.</param>
    /// <returns>Completes when the device is disposed and its id free.</returns>
    public Task HotRemoveAsync(string id, SlotRemoval removal)
    {
        ArgumentNullException.ThrowIfNull(id);
        Slots.ThrowIfClosed();
        MachineDevice device = Devices.FirstOrDefault(device => device.Id == id)
            ?? throw new ArgumentException($"the machine has no device {id}", nameof(id));
        return Slots.RemoveAsync(device.Function, removal)
            ?? throw new InvalidOperationException($"{id} is not in the slot of a root port: it stays as long as the machine");
    }

    /// <summary>Stops, flushes and closes every device, last one first. The vCPUs have ended.</summary>
    public void Dispose()
    {
        // Null if the constructor failed before.
        Volatile.Write(ref _ending, true);
        Closed = Task.WhenAll(Devices.Select(static device => ((device.Function as VirtioPciFunction)?.Device as BlockDevice)?.Closed ?? Task.CompletedTask));
        Slots?.Dispose();
        foreach (MachineDevice device in Devices.Reverse())
        {
            Remove(device);
        }

        Task[] removals;
        lock (_lock)
        {
            removals = [.. _removals];
        }

        foreach (Task removal in removals)
        {
            try
            {
                removal.Wait();
            }
            catch (AggregateException failure)
            {
                _logger.RemovalFailed(failure.GetBaseException());
            }
        }

        _shared.Dispose();
        _bridge.Dispose();
    }

    private void Add(DeviceOptions options, int slot)
    {
        MachineDevice device = Make(_options.Catalogue.KindOf(options), options);
        _bridge.Root.Add(device.Function, slot);
        _logger.DeviceAdded(device.Id, device.Function.Address.ToString());
    }

    private MachineDevice Make(DeviceKind kind, DeviceOptions options)
    {
        var context = new DeviceContext(options.Id!, _memory, _hypervisor, _options.LoggerFactory)
        {
            Time = _options.Time,
            AppendOutput = _options.AppendOutput,
            Escape = _options.Escape,
            Shared = _shared,
            GetFunctions = () => [.. Devices.Select(static device => device.Function)],
            Stop = reason => _stop(new VmStopReason(VmStopKind.HostError, reason)),
            Remove = RemoveLater,
        };
        var device = new MachineDevice(options, kind.Create(options, context));
        device.Function.Description ??= kind.Describe(options);
        if (_options.OnEvent is { } tell && device.Function is VirtioPciFunction virtio)
        {
            string id = device.Id;
            var pace = new EventPace(_options.Time);
            virtio.ActivationChanged += active =>
            {
                if ((active || !Volatile.Read(ref _ending)) && pace.Allows())
                {
                    tell(MachineEvent.Of("virtio-device", active ? "activated" : "reset", id));
                }
            };
        }

        lock (_lock)
        {
            _devices.Add(device);
        }

        return device;
    }

    /// <summary>Called on a device's own thread, which cannot wait for its end.</summary>
    private void RemoveLater(PciFunction function)
    {
        lock (_lock)
        {
            if (_devices.Find(device => device.Function == function) is { } device)
            {
                _removals.RemoveAll(static task => task.IsCompleted);
                _removals.Add(Task.Run(() => RemoveAsync(device)));
            }
        }
    }

    private async Task RemoveAsync(MachineDevice device)
    {
        try
        {
            if (Slots.RemoveAsync(device.Function, SlotRemoval.Surprise) is { } removal)
            {
                await removal.ConfigureAwait(false);
                return;
            }
        }
        catch (ObjectDisposedException)
        {
            // The machine ends, and its slots are emptied.
            return;
        }

        if (device.Function.Bus is { IsRoot: true })
        {
            Remove(device);
        }
    }

    /// <summary>Takes a device off the root bus.</summary>
    private void Remove(MachineDevice device)
    {
        if (!Forget(device))
        {
            return;
        }

        if (device.Function is VirtioPciFunction virtio)
        {
            _logger.DeviceEnded(device.Id, virtio.QueueResets, Enum.GetValues<GuestMistake>().Sum(virtio.CountOf));
        }

        try
        {
            device.Function.Dispose();
        }
        catch (Exception failure)
        {
            // Also of an embedder's function: the others are closed all the same.
            _logger.DeviceKept(device.Id, failure);
        }
    }

    /// <summary>A device is out of its slot and disposed.</summary>
    private void OnReleased(MachineDevice device)
    {
        if (Forget(device) && !Volatile.Read(ref _ending))
        {
            _options.OnEvent?.Invoke(MachineEvent.Of("vm", "device-removed", device.Id));
        }
    }

    /// <summary>Takes a device out of the list; its id is free.</summary>
    /// <returns>False if somebody else has.</returns>
    private bool Forget(MachineDevice device)
    {
        lock (_lock)
        {
            if (!_devices.Remove(device))
            {
                return false;
            }
        }

        _ids.Release(device.Id);
        return true;
    }
}
