using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Interrupts;

namespace Vmm.Tests.Pci;

/// <summary>A function with one BAR, a pin, DMA and the capabilities of a test, decoding and mastering the bus.</summary>
internal sealed class CapabilityRig
{
    public const uint Bar0 = 0xc000_0000;
    public const int Gsi = 19;

    public CapabilityRig(params PciCapability[] capabilities)
    {
        Function = new ObservedFunction(Dma);
        Function.AddBar(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, Registers));
        foreach (PciCapability capability in capabilities)
        {
            Function.AddCapability(capability);
        }

        Rig.Add(Function);
        Start();
    }

    public PciRig Rig { get; } = new();

    public RecordingHandler Registers { get; } = new(0x1000, 0x5a);

    public DmaTarget Dma { get; } = new(new GuestMemory());

    public ObservedFunction Function { get; }

    /// <summary>What a driver does first: the BAR's address, decoding and mastering.</summary>
    public void Start()
    {
        Rig.Write(0x10, 4, Bar0);
        Rig.Write(4, 2, 6);
    }

    public bool Decodes => Function.GetMappedAddress(0) is not null;

    internal sealed class ObservedFunction(DmaTarget dma)
        : PciFunction(
            PciRig.Identity, new PciFunctionOptions { Name = "observed", Pin = InterruptPin.A, Dma = dma, ExtendedConfigurationSpace = true })
    {
        public int Resets { get; private set; }

        protected override void OnReset() => Resets++;
    }
}
