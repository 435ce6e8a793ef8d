using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Pci.Host;
using Vmm.Testing.Seams;

namespace Vmm.Testing.Rigs;

/// <summary>The pieces of a PCI hierarchy over which <see cref="InProcessFunctionAccess"/> reaches a function.</summary>
public sealed record InProcessBus
{
    /// <summary>The way to the functions, on its root bus or below. It has claimed configuration accesses.</summary>
    public required PciHostBridge Bridge { get; init; }

    /// <summary>The bridge's <see cref="PciBusOptions.MsiSink"/>, or where that hands messages on.</summary>
    public required RecordingMsiSink Messages { get; init; }

    /// <summary>The bridge's <see cref="PciBusOptions.InterruptLines"/>, or null if pins are not to be heard.</summary>
    public RecordingInterruptLines? Lines { get; init; }

    /// <summary>Guest memory of the functions' DMA targets.</summary>
    public required GuestMemory Memory { get; init; }

    /// <summary>Addresses of <see cref="Memory"/> that drivers' buffers may be put at: where nothing else is.</summary>
    public required IovaSpace Iovas { get; init; }
}
