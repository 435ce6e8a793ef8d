using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Interrupts;
using Vmm.Pci.Spec;

namespace Vmm.Pci;

/// <summary>The part of the header that functions and bridges share, and the type-0 rest of it (PCI 3.0, 6.1 and 6.2).</summary>
internal static class FunctionHeader
{
    private const uint StatusErrors = (uint)(PciStatus.MasterDataParityError | PciStatus.SignaledTargetAbort
        | PciStatus.ReceivedTargetAbort | PciStatus.ReceivedMasterAbort | PciStatus.SignaledSystemError | PciStatus.DetectedParityError);

    private const uint CommandWritable = (uint)(PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster
        | PciCommand.ParityErrorResponse | PciCommand.SystemError | PciCommand.InterruptDisable);

    private const uint MultiFunctionBit = 0x80u << 16;

    /// <summary>Defines the registers in an empty space. A bridge has no subsystem ids and adds the rest of its type-1 header itself.</summary>
    public static void Define(PciConfigurationSpace space, PciIdentity identity, InterruptPin pin, bool isBridge)
    {
        space.Define(ConfigurationRegisters.VendorId, 2, identity.VendorId);
        space.Define(ConfigurationRegisters.DeviceId, 2, identity.DeviceId);
        space.Define(ConfigurationRegisters.Command, 2, 0, CommandWritable);
        space.Define(ConfigurationRegisters.Status, 2, 0, 0, StatusErrors);
        space.Define(ConfigurationRegisters.RevisionId, 4, identity.RevisionId | (identity.ClassCode << 8));
        space.Define(ConfigurationRegisters.CacheLineSize, 1, 0, 0xff);
        space.Define(ConfigurationRegisters.LatencyTimer, 1, 0, 0xff);
        if (!isBridge)
        {
            space.Define(ConfigurationRegisters.SubsystemVendorId, 2, identity.SubsystemVendorId);
            space.Define(ConfigurationRegisters.SubsystemId, 2, identity.SubsystemId);
        }

        space.Define(ConfigurationRegisters.InterruptLine, 1, 0, 0xff);
        space.Define(ConfigurationRegisters.InterruptPin, 1, (uint)pin);
    }

    /// <summary>The device has several functions, or this one alone (PCI 3.0, 6.2.1).</summary>
    public static void SetMultiFunction(PciConfigurationSpace space, bool several)
    {
        space.Redefine(ConfigurationRegisters.CacheLineSize, MultiFunctionBit, several ? MultiFunctionBit : 0);
    }
}
