using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Bus;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Events;
using Vmm.Machine.Host;
using Vmm.Machine.Layout;
using Vmm.Pci.Bridges;
using Vmm.Pci.Host;

namespace Vmm.Machine;

/// <summary>What a <see cref="VirtualMachine"/> is built from.</summary>
public sealed record MachineOptions
{
    /// <summary>The kernel: a bzImage, or an ELF vmlinux with a PVH entry.</summary>
    public required string KernelPath { get; init; }

    /// <summary>The initramfs, or null.</summary>
    public string? InitramfsPath { get; init; }

    /// <summary>The kernel's command line.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>vCPUs, 1 to <see cref="MachineLimits.Cpus"/>.</summary>
    public int CpuCount { get; init; } = 1;

    /// <summary>RAM.</summary>
    public MemoryOptions Memory { get; init; } = new();

    /// <summary>The devices, in the order of their PCI slots; the first has slot 1.</summary>
    public IReadOnlyList<DeviceOptions> Devices { get; init; } = [];

    /// <summary>The kinds that <see cref="Devices"/>, and those that are added later, are made by.</summary>
    public DeviceCatalogue Catalogue { get; init; } = DeviceCatalogue.Default;

    /// <summary>
    /// PCI Express root ports for functions that come and go while the machine runs, after all devices. They are told apart by
    /// <see cref="PciBridgeOptions.Name"/>; slot numbers differ too.
    /// </summary>
    public IReadOnlyList<PciRootPortOptions> RootPorts { get; init; } = [];

    /// <summary>The serial port COM1.</summary>
    public CharacterOptions Serial { get; init; } = new(CharacterKind.Terminal);

    /// <summary>Files that serial ports and consoles write to keep what they hold, as for a restarted machine; otherwise they are emptied.</summary>
    public bool AppendOutput { get; init; }

    /// <summary>
    /// Called when Ctrl-A x is typed on a terminal that the guest reads (Ctrl-A Ctrl-A sends one Ctrl-A), on the reader's thread. Without it every
    /// character reaches the guest.
    /// </summary>
    public Action? Escape { get; init; }

    /// <summary>
    /// Sees the accesses to devices from the first one on, as a trace does (<see cref="MachineTrace"/>); it outlives the machine, which does not dispose
    /// it. At any later time another can be set on the address spaces.
    /// </summary>
    public IAccessObserver? AccessObserver { get; init; }

    /// <summary>
    /// Told of what happens to the machine's parts: vCPUs that are made, virtio devices that drivers start and reset, devices that were taken out. From any
    /// thread, inside a guest's access too; returns at once and throws nothing.
    /// </summary>
    public Action<MachineEvent>? OnEvent { get; init; }

    /// <summary>The guest's idea of time.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Where the machine logs; nothing is logged without it.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }

    /// <summary>The devices with the ids that they have in a machine: their own, or those that their kinds give.</summary>
    /// <exception cref="MachineException">Two devices, or a device and a root port, have one id.</exception>
    /// <exception cref="ArgumentException">The catalogue has no such kind.</exception>
    public IReadOnlyList<DeviceOptions> NameDevices() => new DeviceIds().TakeAll(RootPorts.Select(static port => port.Name), Catalogue, Devices);
}
