using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Access;
using Vmm.Pci.Host;
using Vmm.Testing.Memory;
using Vmm.Testing.Seams;

namespace Vmm.Testing.Rigs;

/// <summary>A PCI host bridge on recording seams, with guest RAM, for any number of functions; no hypervisor is needed.</summary>
/// <remarks>Accesses from any thread; functions are added and removed from one at a time.</remarks>
public sealed class PciBusRig : IDisposable
{
    private const ulong IovaBase = 1UL << 32;
    private const ulong IovaLength = 1UL << 30;

    /// <summary>Makes the bridge, with configuration accesses claimed.</summary>
    /// <param name="bridge">Changes the bridge's options, for example a seam of another kind.</param>
    /// <param name="memory">Changes the memory space's options.</param>
    public PciBusRig(
        Func<PciHostBridgeOptions, PciHostBridgeOptions>? bridge = null,
        Func<AddressSpaceOptions, AddressSpaceOptions>? memory = null)
    {
        var domain = new AccessDomain();
        var memoryOptions = new AddressSpaceOptions { Domain = domain, MemorySlots = Slots, Doorbells = Doorbells };
        var options = new PciHostBridgeOptions
        {
            Memory = new AddressSpace(memory?.Invoke(memoryOptions) ?? memoryOptions),
            Ports = new AddressSpace(new AddressSpaceOptions { Domain = domain, Kind = AddressSpaceKind.Port, Name = "ports" }),
            Windows = CreateWindows(),
            MsiSink = Messages,
            IrqRouting = Routing,
            InterruptLines = Lines,
        };
        Bridge = new PciHostBridge(bridge?.Invoke(options) ?? options);
        Bridge.ClaimConfigurationAccess();
        Bus = new InProcessBus
        {
            Bridge = Bridge,
            Messages = Messages,
            Lines = Lines,
            Memory = Ram.Memory,
            Iovas = new IovaSpace([GuestRange.TryCreate(IovaBase, IovaLength, out GuestRange range) ? range : default]),
        };
    }

    /// <summary>Makes ranges for BARs, for one bridge: memory below 4 GiB and above, and ports.</summary>
    public static IReadOnlyList<PciWindow> CreateWindows() =>
    [
        new PciWindow(AddressSpaceKind.Memory, 0xc000_0000, 0x3000_0000),
        new PciWindow(AddressSpaceKind.Memory, 0x40_0000_0000, 0x40_0000_0000),
        new PciWindow(AddressSpaceKind.Port, 0x1000, 0xf000),
    ];

    /// <summary>The bridge.</summary>
    public PciHostBridge Bridge { get; }

    /// <summary>Where memory BARs decode.</summary>
    public AddressSpace Memory => Bridge.Root.Memory;

    /// <summary>Where I/O BARs decode.</summary>
    public AddressSpace Ports => Bridge.Root.Ports!;

    /// <summary>Guest RAM: 64 MiB from address 0.</summary>
    public GuestRam Ram { get; } = new();

    /// <summary>The hypervisor's memory slots.</summary>
    public RecordingMemorySlots Slots { get; } = new();

    /// <summary>The hypervisor's doorbells.</summary>
    public RecordingDoorbells Doorbells { get; } = new();

    /// <summary>The hypervisor's irqfds.</summary>
    public RecordingIrqRouting Routing { get; } = new();

    /// <summary>Messages that functions sent.</summary>
    public RecordingMsiSink Messages { get; } = new();

    /// <summary>The wires of the functions' pins.</summary>
    public RecordingInterruptLines Lines { get; } = new();

    /// <summary>The bus as <see cref="InProcessFunctionAccess"/> reaches its functions by; buffers of drivers lie above guest RAM.</summary>
    public InProcessBus Bus { get; }

    /// <summary>Puts a function on the root bus and gives its BARs addresses, as firmware does. It belongs to the bus from now on.</summary>
    /// <param name="create">Makes the function over the memory that it reaches.</param>
    /// <param name="device">Device number, 1 to 31.</param>
    /// <returns>The driver's way to the function, which decodes.</returns>
    public InProcessFunctionAccess Add(Func<DmaTarget, PciFunction> create, int device = 1)
    {
        ArgumentNullException.ThrowIfNull(create);
        PciFunction function = create(new DmaTarget(Ram.Memory));
        Bridge.Root.Add(function, device);
        Bridge.Root.AssignResources();
        return new InProcessFunctionAccess(Bus, function);
    }

    /// <summary>Reads configuration space by configuration memory.</summary>
    /// <param name="address">Bus, device and function.</param>
    /// <param name="offset">Offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2 or 4.</param>
    public uint ReadConfiguration(PciAddress address, int offset, int width) => (uint)Memory.Read(EcamAddress(address, offset), width);

    /// <summary>Writes configuration space by configuration memory.</summary>
    /// <param name="address">Bus, device and function.</param>
    /// <param name="offset">Offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2 or 4.</param>
    /// <param name="value">Little-endian.</param>
    public void WriteConfiguration(PciAddress address, int offset, int width, uint value) => Memory.Write(EcamAddress(address, offset), width, value);

    /// <summary>Reads the first 256 bytes of configuration space by the ports.</summary>
    /// <param name="address">Bus, device and function.</param>
    /// <param name="offset">Offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2 or 4.</param>
    public uint ReadConfigurationByPorts(PciAddress address, int offset, int width)
    {
        Ports.Write(PciHostBridge.ConfigurationPortBase, 4, PortAddress(address, offset));
        return (uint)Ports.Read(PciHostBridge.ConfigurationPortBase + 4u + ((uint)offset & 3), width);
    }

    /// <summary>Writes the first 256 bytes of configuration space by the ports.</summary>
    /// <param name="address">Bus, device and function.</param>
    /// <param name="offset">Offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2 or 4.</param>
    /// <param name="value">Little-endian.</param>
    public void WriteConfigurationByPorts(PciAddress address, int offset, int width, uint value)
    {
        Ports.Write(PciHostBridge.ConfigurationPortBase, 4, PortAddress(address, offset));
        Ports.Write(PciHostBridge.ConfigurationPortBase + 4u + ((uint)offset & 3), width, value);
    }

    /// <summary>Disposes the functions that are on the bus, and guest RAM.</summary>
    public void Dispose()
    {
        Bridge.Dispose();
        Ram.Dispose();
    }

    private ulong EcamAddress(PciAddress address, int offset) => Bridge.EcamBase + ((ulong)address.RequesterId << 12) + (uint)offset;

    private static uint PortAddress(PciAddress address, int offset) =>
        0x8000_0000u | ((uint)address.RequesterId << 8) | ((uint)offset & 0xfc);
}
