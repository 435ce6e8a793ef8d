using Vmm.DeviceModel.Memory;
using Vmm.Pci.Interrupts;

namespace Vmm.Pci;

/// <summary>What a <see cref="PciFunction"/> is made with besides its identity.</summary>
public sealed record PciFunctionOptions
{
    /// <summary>Shown in logs next to the address, for example <c>virtio-blk</c>.</summary>
    public string Name { get; init; } = "function";

    /// <summary>The INTx pin, or <see cref="InterruptPin.None"/>.</summary>
    public InterruptPin Pin { get; init; }

    /// <summary>True for 4 KiB of configuration space with an extended capability list, false for 256 bytes.</summary>
    public bool ExtendedConfigurationSpace { get; init; }

    /// <summary>
    /// True if configuration accesses may wait for something outside this process: they stall their own vCPU and the removal of the function alone.
    /// The function bounds that wait. False by default.
    /// </summary>
    public bool IsConfigurationBlocking { get; init; }

    /// <summary>What the device masters the bus with; its <see cref="DmaTarget.Enabled"/> follows Bus Master Enable (PCI-8).</summary>
    public DmaTarget? Dma { get; init; }
}
