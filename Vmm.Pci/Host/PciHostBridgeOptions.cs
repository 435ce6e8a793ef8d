namespace Vmm.Pci.Host;

/// <summary>What a <see cref="PciHostBridge"/> is made with.</summary>
public sealed record PciHostBridgeOptions : PciBusOptions
{
    /// <summary>Where configuration space lies in memory (ECAM): 1 MiB a bus, a multiple of 1 MiB; 0xb0000000 unless told.</summary>
    public ulong EcamBase { get; init; } = 0xb000_0000;

    /// <summary>How many buses the window holds, 1 to 256; bus numbers start at 0.</summary>
    public int BusCount { get; init; } = 256;

    /// <summary>What the bridge's own function at 00:00.0 says it is.</summary>
    public PciIdentity Identity { get; init; } = new()
    {
        // The generic PCI Express host bridge that guests know from other machines without a chipset.
        VendorId = 0x1b36,
        DeviceId = 0x0008,
        ClassCode = 0x060000,
    };
}
