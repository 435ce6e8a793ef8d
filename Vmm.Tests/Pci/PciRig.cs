using System.Collections.Generic;
using Vmm.DeviceModel.Bus;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Host;

namespace Vmm.Tests.Pci;

/// <summary>A host bridge on recording seams, driven as a guest would: through ECAM and through the configuration ports.</summary>
internal sealed class PciRig
{
    public const ulong Ecam = 0xb000_0000;

    public PciRig(params PciWindow[] windows)
    {
        var domain = new AccessDomain();
        Memory = new AddressSpace(new AddressSpaceOptions { Domain = domain, MemorySlots = Slots });
        Ports = new AddressSpace(new AddressSpaceOptions { Domain = domain, Kind = AddressSpaceKind.Port, Name = "ports" });
        Bridge = new PciHostBridge(new PciHostBridgeOptions
        {
            Memory = Memory,
            Ports = Ports,
            Windows = windows,
            MsiSink = Sink,
            IrqRouting = Routing,
            InterruptLines = Lines,
            EcamBase = Ecam,
        });
        Bridge.ClaimConfigurationAccess();
    }

    public AddressSpace Memory { get; }

    public AddressSpace Ports { get; }

    public PciHostBridge Bridge { get; }

    public FakeSlots Slots { get; } = new();

    public RecordingMsiSink Sink { get; } = new();

    public RecordingIrqRouting Routing { get; } = new();

    public RecordingInterruptLines Lines { get; } = new();

    public static PciIdentity Identity { get; } = new()
    {
        VendorId = 0x1af4,
        DeviceId = 0x1042,
        ClassCode = 0x018000,
        RevisionId = 1,
        SubsystemVendorId = 0x1af4,
        SubsystemId = 0x0040,
    };

    public static PciFunction Function(params PciBar[] bars)
    {
        var function = new PciFunction(Identity);
        foreach (var bar in bars)
        {
            function.AddBar(bar);
        }

        return function;
    }

    /// <summary>A BAR that one handler answers wholly.</summary>
    public static PciBar Bar(int index, PciBarKind kind, ulong size, IRegionHandler handler)
    {
        return new PciBar(index, kind, size, new List<PciBarRegion> { new("all", 0, size, handler) });
    }

    public PciFunction Add(PciFunction function, int device = 3, int number = 0)
    {
        Bridge.Root.Add(function, device, number);
        return function;
    }

    public uint Read(int offset, int width, int device = 3, int function = 0)
    {
        return (uint)Memory.Read(EcamAddress(offset, device, function), width);
    }

    public void Write(int offset, int width, uint value, int device = 3, int function = 0)
    {
        Memory.Write(EcamAddress(offset, device, function), width, value);
    }

    public uint PortRead(int offset, int width, int device = 3, int function = 0)
    {
        Ports.Write(0xcf8, 4, PortAddress(offset, device, function));
        return (uint)Ports.Read(0xcfcu + ((uint)offset & 3), width);
    }

    public void PortWrite(int offset, int width, uint value, int device = 3, int function = 0)
    {
        Ports.Write(0xcf8, 4, PortAddress(offset, device, function));
        Ports.Write(0xcfcu + ((uint)offset & 3), width, value);
    }

    public static ulong EcamAddress(int offset, int device, int function)
    {
        return Ecam + ((ulong)device << 15) + ((ulong)function << 12) + (ulong)offset;
    }

    private static uint PortAddress(int offset, int device, int function)
    {
        return 0x8000_0000u | ((uint)device << 11) | ((uint)function << 8) | ((uint)offset & 0xfc);
    }
}
