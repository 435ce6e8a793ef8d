using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Memory;
using Vmm.Kvm;
using Vmm.Machine.Devices;
using Vmm.Pci.Host;
using Vmm.Pci.Interrupts;
using Vmm.Vfio.Kernel;
using Vmm.Vfio.Passthrough;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Machine;

/// <summary>The PCI host bridge and the virtio devices behind it.</summary>
internal sealed class MachineDevices : IDisposable
{
    // The inputs of the I/O APIC that the pins on bus 0 leave free.
    private const int FirstPortGsi = 20;

    private readonly MachineOptions _options;
    private readonly GuestMemory _memory;
    private readonly ILogger _logger;
    private readonly ILogger _deviceLogger;
    private readonly PciHostBridge _bridge;
    private readonly List<MachineDevice> _devices = [];
    private readonly MachineHostDevices _hostDevices;

    /// <summary>Makes the bridge and the devices and gives them addresses.</summary>
    /// <param name="options">Which devices.</param>
    /// <param name="layout">Windows and configuration space.</param>
    /// <param name="spaces">Where they decode.</param>
    /// <param name="memory">What they master.</param>
    /// <param name="hypervisor">Interrupts; null for a machine that does not run.</param>
    /// <param name="stop">Called on a vCPU thread when the guest resets the machine through the bridge's ports.</param>
    /// <param name="logger">The machine's.</param>
    /// <exception cref="MachineException">A back-end cannot be opened.</exception>
    public MachineDevices(
        MachineOptions options,
        MemoryLayout layout,
        (AddressSpace Memory, AddressSpace Ports) spaces,
        GuestMemory memory,
        KvmVirtualMachine? hypervisor,
        Action<VmStopReason> stop,
        ILogger logger)
    {
        _options = options;
        _memory = memory;
        _logger = logger;
        _deviceLogger = GuardedLogger.Create(options.LoggerFactory, "Vmm.Virtio");
        _hostDevices = new MachineHostDevices(
            new VfioHost(memory, hypervisor?.HostDeviceFiles, options.LoggerFactory), stop, options.LoggerFactory, logger);
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
            var reset = new ResetControl(_bridge.ConfigurationPorts);
            reset.ResetRequested += () => stop(VmStopReason.Reset);
            spaces.Ports.Add(
                new HandlerClaim("pci configuration ports, reset", 8, reset, ClaimPriority.Platform + 1), PciHostBridge.ConfigurationPortBase);
            AddAll();
            Slots = new MachineSlots(options.RootPorts, _bridge.Root, _devices.Count + options.HostDevices.Count + 1);
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

    /// <summary>The devices in the order of their slots.</summary>
    public IReadOnlyList<MachineDevice> Devices => _devices;

    /// <summary>The host's devices that the guest has.</summary>
    public IReadOnlyList<PassthroughFunction> HostDevices => _hostDevices.Functions;

    /// <summary>The root ports, and what is in their slots.</summary>
    public MachineSlots Slots { get; }

    /// <summary>What a device of the machine masters the bus with; one for each function.</summary>
    public DmaTarget CreateDmaTarget() => new(_memory);

    /// <summary>Makes a disk that is on no bus yet.</summary>
    /// <exception cref="MachineException">The file cannot be opened.</exception>
    public VirtioPciFunction MakeDisk(DiskOptions disk, string id) => Wrap(id, disk, CreateDisk(disk, id));

    /// <summary>Makes a network card that is on no bus yet.</summary>
    /// <exception cref="MachineException">The tap cannot be opened.</exception>
    public VirtioPciFunction MakeNet(NetOptions net, string id) => Wrap(id, net, CreateNet(net, id));

    /// <summary>Stops, flushes and closes every device, last one first. The vCPUs have ended.</summary>
    public void Dispose()
    {
        // Null if the constructor failed before.
        Slots?.Dispose();
        _hostDevices.Dispose();
        foreach ((VirtioPciFunction function, _) in Enumerable.Reverse(_devices))
        {
            _logger.DeviceEnded(function.Name, function.QueueResets, Enum.GetValues<GuestMistake>().Sum(function.CountOf));
            function.Dispose();
        }

        _devices.Clear();
        _bridge.Dispose();
    }

    private void AddAll()
    {
        if (_options.Disks.Count + _options.Nets.Count + _options.RootPorts.Count + _options.HostDevices.Count + 2 > MachineLimits.Slots)
        {
            throw new MachineException("disk", null, $"more than {MachineLimits.Slots} devices do not fit on the bus");
        }

        foreach ((int index, DiskOptions disk) in _options.Disks.Index())
        {
            string id = disk.Id ?? $"disk{index}";
            Add(id, disk, () => CreateDisk(disk, id));
        }

        foreach ((int index, NetOptions net) in _options.Nets.Index())
        {
            string id = net.Id ?? $"net{index}";
            Add(id, net, () => CreateNet(net, id));
        }

        if (_options.Entropy is { } entropy)
        {
            string id = entropy.Id ?? "rng";
            Add(id, entropy, () => CreateEntropy(entropy, id));
        }

        if (_options.Console.Character.Kind is CharacterKind.Terminal or CharacterKind.File)
        {
            string id = _options.Console.Id ?? "console";
            Add(id, _options.Console, () => CreateConsole(_options.Console, id));
        }

        foreach ((int index, HostDeviceOptions device) in _options.HostDevices.Index())
        {
            _hostDevices.Add(device, _bridge.Root, _devices.Count + index + 1);
        }
    }

    private void Add(string id, VirtioOptions options, Func<VirtioDevice> create)
    {
        VirtioPciFunction function = Wrap(id, options, create());
        _devices.Add(new MachineDevice(function, options));

        // Slot 0 is the bridge's.
        _bridge.Root.Add(function, _devices.Count);
        _logger.DeviceAdded(id, function.Address.ToString());
    }

    private VirtioPciFunction Wrap(string id, VirtioOptions options, VirtioDevice device)
    {
        try
        {
            return new VirtioPciFunction(device, CreateDmaTarget(), options.Transport with { Name = id, LoggerFactory = _options.LoggerFactory });
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    private BlockDevice CreateDisk(DiskOptions disk, string id)
    {
        RawFileBackend backend = Open("disk", disk.Path, () => RawFileBackend.Open(disk.Path, disk.ReadOnly));
        try
        {
            var defaults = new BlockDeviceOptions();
            return new BlockDevice(backend, defaults with
            {
                Id = id,
                Serial = disk.Serial ?? id,
                QueueCount = disk.QueueCount ?? defaults.QueueCount,
                QueueSize = disk.QueueSize ?? defaults.QueueSize,
                Logger = _deviceLogger,
            });
        }
        catch
        {
            backend.Dispose();
            throw;
        }
    }

    private NetDevice CreateNet(NetOptions net, string id)
    {
        IReadOnlyList<TapInterface> queues = Open("net", net.Tap, () => TapInterface.OpenQueues(net.Tap, net.Pairs, net.HostAddress, net.HostMask));
        try
        {
            var defaults = new NetDeviceOptions();
            return new NetDevice(queues, defaults with
            {
                Id = id,
                Mac = net.MacAddress ?? DefaultMac(net.Tap),
                QueueSize = net.QueueSize ?? defaults.QueueSize,
                Logger = _deviceLogger,
            });
        }
        catch
        {
            foreach (TapInterface queue in queues)
            {
                queue.Dispose();
            }

            throw;
        }
    }

    private EntropyDevice CreateEntropy(EntropyOptions entropy, string id)
    {
        var options = new EntropyDeviceOptions { Id = id, Source = entropy.Source, Logger = _deviceLogger };
        options = options with { QueueSize = entropy.QueueSize ?? options.QueueSize };
        return Open("rng", entropy.Source, () => new EntropyDevice(options));
    }

    private ConsoleDevice CreateConsole(ConsoleOptions console, string id)
    {
        var options = new ConsoleDeviceOptions { Id = id, Logger = _deviceLogger };
        options = options with { QueueSize = console.QueueSize ?? options.QueueSize };
        return new ConsoleDevice(ConsoleBackend.Open(console.Character), options);
    }

    private static T Open<T>(string part, string subject, Func<T> open)
    {
        try
        {
            return open();
        }
        catch (BackendException e)
        {
            // The back-end names its file first; so do we.
            string prefix = subject + ": ";
            string reason = e.Message.StartsWith(prefix, StringComparison.Ordinal) ? e.Message[prefix.Length..] : e.Message;
            throw new MachineException(part, subject, reason, e);
        }
    }

    /// <summary>Locally administered, and the same at every start: FNV-1a of the tap's name.</summary>
    private static MacAddress DefaultMac(string tap)
    {
        ulong hash = 0xCBF2_9CE4_8422_2325;
        foreach (byte b in Encoding.UTF8.GetBytes(tap))
        {
            hash = (hash ^ b) * 0x0000_0100_0000_01B3;
        }

        return new MacAddress((0x02UL << 40) | ((hash ^ (hash >> 40)) & 0xFF_FFFF_FFFF));
    }
}
