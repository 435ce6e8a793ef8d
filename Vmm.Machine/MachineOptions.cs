using System;
using System.Collections.Generic;
using Microsoft.Extensions.Logging;
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

    /// <summary>Block devices, in the order of their PCI slots.</summary>
    public IReadOnlyList<DiskOptions> Disks { get; init; } = [];

    /// <summary>Network devices, after the block devices.</summary>
    public IReadOnlyList<NetOptions> Nets { get; init; } = [];

    /// <summary>The entropy device, or null for none.</summary>
    public EntropyOptions? Entropy { get; init; }

    /// <summary>The virtio console.</summary>
    public ConsoleOptions Console { get; init; } = new(new CharacterOptions(CharacterKind.Off));

    /// <summary>
    /// PCI Express root ports for functions that come and go while the machine runs, after all devices. They are told apart by
    /// <see cref="PciBridgeOptions.Name"/>; slot numbers differ too.
    /// </summary>
    public IReadOnlyList<PciRootPortOptions> RootPorts { get; init; } = [];

    /// <summary>Devices of the host, after the virtio devices.</summary>
    public IReadOnlyList<HostDeviceOptions> HostDevices { get; init; } = [];

    /// <summary>The serial port COM1.</summary>
    public CharacterOptions Serial { get; init; } = new(CharacterKind.Terminal);

    /// <summary>The guest's idea of time.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Where the machine logs; nothing is logged without it.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}
