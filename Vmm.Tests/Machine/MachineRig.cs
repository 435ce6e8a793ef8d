using System;
using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Memory;
using Vmm.Kvm;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Layout;

namespace Vmm.Tests.Machine;

/// <summary>The devices of a machine over a hypervisor of recording seams: everything but vCPUs and a kernel.</summary>
internal sealed class MachineRig : IDisposable
{
    private readonly HostMemory? _host;
    private readonly SystemRam _ram;
    private readonly MachinePlatform _platform;

    /// <param name="options">The machine.</param>
    /// <param name="hypervisor">Its seams; new ones without it.</param>
    /// <param name="memory">The memory that its RAM lies in, which stays the caller's; its own without it.</param>
    public MachineRig(MachineOptions options, RecordingHypervisor? hypervisor = null, HostMemory? memory = null)
    {
        _host = memory is null ? HostMemory.AllocateAnonymous(RamSize) : null;
        Hypervisor = hypervisor ?? new RecordingHypervisor();
        var domain = new AccessDomain();
        Memory = new AddressSpace(new AddressSpaceOptions
        {
            Kind = AddressSpaceKind.Memory,
            Name = "memory",
            Domain = domain,
            MemorySlots = Hypervisor.MemorySlots,
            Doorbells = Hypervisor.Doorbells,
        });
        Ports = new AddressSpace(new AddressSpaceOptions { Kind = AddressSpaceKind.Port, Name = "port", Domain = domain });
        _ram = new SystemRam(Memory);
        try
        {
            _ram.Add(0, memory ?? _host!);
            _platform = new MachinePlatform(options, Ports, Hypervisor.InterruptLines, Stops.Add, NullLogger.Instance);
            var layout = MemoryLayout.Create(RamSize, 40);
            Devices = new MachineDevices(options, layout, (Memory, Ports), _ram.Memory, Hypervisor, Stops.Add, NullLogger.Instance);
            Component = new MachineComponent(options, Devices, _platform);
        }
        catch
        {
            _platform?.Dispose();
            _ram.Dispose();
            _host?.Dispose();
            throw;
        }
    }

    public const ulong RamSize = 64 << 20;

    public static MachineOptions Options { get; } = new() { KernelPath = "", Serial = new CharacterOptions(CharacterKind.Off) };

    public RecordingHypervisor Hypervisor { get; }

    public AddressSpace Memory { get; }

    public AddressSpace Ports { get; }

    public MachineDevices Devices { get; }

    /// <summary>The machine as it is shown, saved and restored.</summary>
    public MachineComponent Component { get; }

    /// <summary>Why the machine was told to end.</summary>
    public ConcurrentBag<VmStopReason> Stops { get; } = [];

    /// <summary>The guest's drivers of a root port and of what is behind it.</summary>
    public MachineGuest Guest(int port = 0) => new(Memory, _ram.Memory, Devices.Slots.Ports[port]);

    public void Dispose()
    {
        Devices.Dispose();
        _platform.Dispose();
        _ram.Dispose();
        _host?.Dispose();
        Hypervisor.MemorySlots.Mapped.Should().BeEmpty();
        Hypervisor.Doorbells.Registered.Should().BeEmpty();
        Hypervisor.IrqRouting.LiveRoutes.Should().Be(0);
        Hypervisor.InterruptLines.Connections.Should().BeEmpty();
    }
}
