using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Host;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>A virtio function on a root bus with guest memory and recording fakes around it, and a driver's hands on it.</summary>
internal sealed class TransportRig : IDisposable
{
    public const ulong BarBase = 0xe000_0000;
    public const ulong EcamBase = 0xb000_0000;
    public const ulong RamLength = 1 << 20;

    private readonly HostMemory _ram = HostMemory.AllocateAnonymous(RamLength);
    private readonly List<VirtioPciFunction> _functions = [];

    public TransportRig(
        FakeVirtioDevice? device = null,
        VirtioPciOptions? options = null,
        bool doorbells = true,
        Func<IMsiSink, IIrqRouting?>? routing = null)
    {
        Bus = new PciBusRig(
            bridge => bridge with { Windows = [], IrqRouting = routing is null ? bridge.IrqRouting : routing(bridge.MsiSink!) },
            memory => memory with { Doorbells = doorbells ? Doorbells : null });
        Ram = new GuestMemory();
        Ram.Add(0, _ram, 0, RamLength);
        Device = device ?? new FakeVirtioDevice();
        Function = AddFunction(Device, options);
        Driver = new TestDriver(Memory, EcamBase + (1 << 15));
        Driver.Place(BarBase);
    }

    public PciBusRig Bus { get; }

    public AccessDomain Domain => Memory.Domain;

    public AddressSpace Memory => Bus.Memory;

    public AddressSpace Ports => Bus.Ports;

    public PciHostBridge Bridge => Bus.Bridge;

    public GuestMemory Ram { get; }

    public RecordingMemorySlots Slots => Bus.Slots;

    public RecordingMsiSink Msi => Bus.Messages;

    public RecordingIrqRouting Routing => Bus.Routing;

    public RecordingInterruptLines Lines => Bus.Lines;

    public CountingDoorbells Doorbells { get; } = new();

    public FakeVirtioDevice Device { get; }

    public VirtioPciFunction Function { get; }

    public TestDriver Driver { get; }

    /// <summary>Every function, in the order in which they came.</summary>
    public IReadOnlyList<VirtioPciFunction> Functions => _functions;

    /// <summary>The wire of the function's pin.</summary>
    public RecordingInterruptLine Wire => Lines[Bridge.Root.InterruptRouting.GetGsi(1, Function.Intx.Pin)];

    /// <summary>Puts another function at the next device number.</summary>
    public VirtioPciFunction AddFunction(VirtioDevice device, VirtioPciOptions? options = null, int? slot = null)
    {
        var function = new VirtioPciFunction(device, new DmaTarget(Ram), options);
        Bridge.Root.Add(function, slot ?? _functions.Count + 1);
        _functions.Add(function);
        return function;
    }

    /// <summary>Takes a function off its bus, and disposes it.</summary>
    public void RemoveFunction(VirtioPciFunction function)
    {
        _functions.Remove(function);
        Bridge.Root.Remove(function);
        function.Dispose();
    }

    /// <summary>Every byte that a guest can read of the function without changing it, registers behind selectors included.</summary>
    public string Dump()
    {
        return string.Join('\n', Driver.DumpRegisters().Prepend($"{Function.DeviceStatus}"));
    }

    public void Dispose()
    {
        foreach (VirtioPciFunction function in Enumerable.Reverse(_functions))
        {
            Bridge.Root.Remove(function);
            function.Dispose();
        }

        Bus.Dispose();
        _ram.Dispose();
    }
}
