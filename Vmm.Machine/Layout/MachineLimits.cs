namespace Vmm.Machine.Layout;

/// <summary>What a machine can have at most.</summary>
public static class MachineLimits
{
    /// <summary>vCPUs: local APIC ids are 8 bits wide and 255 is the broadcast.</summary>
    public const int Cpus = 254;

    /// <summary>Devices on the PCI bus, besides the host bridge.</summary>
    public const int Slots = 31;
}
