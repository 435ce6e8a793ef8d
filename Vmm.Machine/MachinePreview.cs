using System;
using System.Collections.Generic;
using System.Runtime.Intrinsics.X86;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Memory;
using Vmm.DeviceModel.State;
using Vmm.Machine.Host;
using Vmm.Machine.Layout;
using Vmm.Pci.Host;

namespace Vmm.Machine;

/// <summary>
/// The PCI bus of a machine with its devices and their back-ends, as a guest would find it at power-on: to be looked at, without a hypervisor, a
/// kernel, RAM or vCPUs.
/// </summary>
public sealed class MachinePreview : IDisposable
{
    private readonly MachineDevices _devices;

    private readonly MachineComponent _component;

    private MachinePreview(MachineOptions options, MemoryLayout layout, MachineDevices devices)
    {
        Layout = layout;
        _devices = devices;
        _component = new MachineComponent(options, devices, platform: null);
    }

    /// <summary>Where the windows of the bus lie.</summary>
    public MemoryLayout Layout { get; }

    /// <summary>The PCI host bridge.</summary>
    public PciHostBridge HostBridge => _devices.HostBridge;

    /// <summary>The devices in the order of their slots.</summary>
    public IReadOnlyList<MachineDevice> Devices => _devices.Devices;

    /// <summary>Makes the devices and opens their back-ends, as <see cref="VirtualMachine.Create"/> does.</summary>
    /// <param name="options">The machine; what is not about its devices or the size of its RAM does not matter.</param>
    /// <exception cref="MachineException">A back-end cannot be opened, two devices have one id, or the devices do not fit on the bus; everything is undone.</exception>
    public static MachinePreview Create(MachineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var layout = MemoryLayout.Create(options.Memory.Size, PhysicalAddressWidth.FromLeaf(AddressSizes()));
        var domain = new AccessDomain(options.LoggerFactory);
        var memory = new AddressSpace(new AddressSpaceOptions { Kind = AddressSpaceKind.Memory, Name = "memory", Domain = domain });
        var ports = new AddressSpace(new AddressSpaceOptions { Kind = AddressSpaceKind.Port, Name = "port", Domain = domain });
        ILogger logger = GuardedLogger.Create(options.LoggerFactory, "Vmm.Machine");
        try
        {
            return new MachinePreview(
                options, layout, new MachineDevices(options, layout, (memory, ports), new GuestMemory(), null, static _ => { }, logger));
        }
        catch (PciResourceException e)
        {
            throw new MachineException(MachineException.Whole, null, e.Message, e);
        }
    }

    /// <summary>Names and values of the machine's PCI hierarchy, as <see cref="VirtualMachine.Inspect"/> shows them of one that runs.</summary>
    public InspectionNode Inspect() => ComponentTree.Inspect(_component);

    /// <summary>Closes the back-ends.</summary>
    public void Dispose() => _devices.Dispose();

    /// <summary>The guest's processor addresses what the host's does.</summary>
    private static uint AddressSizes()
    {
        const int Highest = unchecked((int)0x8000_0000);
        return X86Base.IsSupported && (uint)X86Base.CpuId(Highest, 0).Eax >= PhysicalAddressWidth.Leaf
            ? (uint)X86Base.CpuId(unchecked((int)PhysicalAddressWidth.Leaf), 0).Eax
            : 0;
    }
}
