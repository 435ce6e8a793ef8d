using System;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Hypervisor;

namespace Vmm.Testing.Seams;

/// <summary>A hypervisor of recording seams. Thread-safe as they are.</summary>
public sealed class RecordingHypervisor : IHypervisor
{
    /// <summary>Memory that the guest reaches without an exit.</summary>
    public RecordingMemorySlots MemorySlots { get; } = new();

    /// <summary>Writes that signal eventfds.</summary>
    public RecordingDoorbells Doorbells { get; } = new();

    /// <summary>Messages that devices sent.</summary>
    public RecordingMsiSink Msi { get; } = new();

    /// <summary>Eventfds that become messages.</summary>
    public RecordingIrqRouting IrqRouting { get; } = new();

    /// <summary>Wires of the interrupt controllers.</summary>
    public RecordingInterruptLines InterruptLines { get; } = new();

    /// <summary>Takes devices of the host; by default it throws, since there are none.</summary>
    public IHostDeviceFiles HostDeviceFiles { get; init; } = new NoHostDevices();

    IMemorySlots IHypervisor.MemorySlots => MemorySlots;

    IDoorbells IHypervisor.Doorbells => Doorbells;

    IMsiSink IHypervisor.Msi => Msi;

    IIrqRouting IHypervisor.IrqRouting => IrqRouting;

    IInterruptLines IHypervisor.InterruptLines => InterruptLines;

    private sealed class NoHostDevices : IHostDeviceFiles
    {
        public IDisposable Add(int descriptor) => throw new InvalidOperationException("this hypervisor has no devices of the host");
    }
}
