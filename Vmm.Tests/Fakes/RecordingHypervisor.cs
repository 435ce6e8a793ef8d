using System;
using Vmm.DeviceModel.Hypervisor;

namespace Vmm.Tests.Fakes;

/// <summary>A hypervisor of recording seams.</summary>
internal sealed class RecordingHypervisor : IHypervisor
{
    public RecordingMemorySlots MemorySlots { get; } = new();

    public RecordingDoorbells Doorbells { get; } = new();

    public RecordingMsiSink Msi { get; } = new();

    public RecordingIrqRouting IrqRouting { get; } = new();

    public RecordingInterruptLines InterruptLines { get; } = new();

    public IHostDeviceFiles HostDeviceFiles { get; init; } = new NoHostDevices();

    IMemorySlots IHypervisor.MemorySlots => MemorySlots;

    IDoorbells IHypervisor.Doorbells => Doorbells;

    IMsiSink IHypervisor.Msi => Msi;

    IIrqRouting IHypervisor.IrqRouting => IrqRouting;

    IInterruptLines IHypervisor.InterruptLines => InterruptLines;

    private sealed class NoHostDevices : IHostDeviceFiles
    {
        public IDisposable Add(int descriptor) => throw new InvalidOperationException("the test has no device of the host");
    }
}
